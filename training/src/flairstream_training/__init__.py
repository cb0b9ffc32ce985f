"""Trains text classifiers in Flair and exports the bundle that flairstream's workers serve."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("flairstream-training")
except PackageNotFoundError:  # run from the source folder, not installed
    __version__ = "0+source"
