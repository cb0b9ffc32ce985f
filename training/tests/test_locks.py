"""The image gets what the tests ran with, and nothing that only they need."""

import re
import tomllib
from pathlib import Path

FOLDER = Path(__file__).parents[1]


def pinned(name: str) -> set[str]:
    """Each package and version of a lock."""
    return set(re.findall(r"^\S+==\S+", (FOLDER / name).read_text(), re.MULTILINE))


def test_the_image_has_the_tested_versions_and_no_tools():
    image, tested = pinned("requirements.image.lock"), pinned("requirements.lock")
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        *project["dependencies"],
        *(one for name in ("hub", "mlflow", "sagemaker", "wandb") for one in extras[name]),
    }
    assert wanted <= image <= tested
    assert not image.intersection(re.sub(r"\[.*\]", "", one) for name in ("demo", "dev") for one in extras[name])
