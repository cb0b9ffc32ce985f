"""Trains text classifiers in Flair and exports the bundle that flairstream's workers serve."""

import os
from importlib.metadata import PackageNotFoundError, version

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when ONNX Runtime is loaded

try:
    __version__ = version("flairstream-training")
except PackageNotFoundError:  # run from the source folder, not installed
    __version__ = "0+source"
