"""What SageMaker promises a training container under /opt/ml, and what it wants back.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
import shutil
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

FAILURE_CHARACTERS = 1024  # what DescribeTrainingJob shows of output/failure
SPLITS = ("train", "validation", "test")
DATA, MODEL, SECRETS = "data", "model", "secrets"
ROWS = (".jsonl", ".csv")


@dataclass(frozen=True)
class Container:
    """The folders of one training container."""

    base: Path

    @property
    def model(self) -> Path:
        """What is put here becomes model.tar.gz."""
        return self.base / "model"

    @property
    def checkpoints(self) -> Path:
        """Kept in S3 while the job runs, and put back before it is started again after an interruption."""
        return self.base / "checkpoints"

    @property
    def output(self) -> Path:
        """What is put here becomes output.tar.gz."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """The reason of a failure."""
        return self.base / "output" / "failure"

    def config(self, name: str) -> dict:
        """A JSON object of input/config; empty where there is none."""
        path = self.base / "input" / "config" / f"{name}.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as err:
            raise InputError(f"cannot read {path}: {err}") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}: want a JSON object")
        return value

    def channels(self) -> dict[str, Path]:
        """The folder of each channel."""
        found = {}
        for name, channel in self.config("inputdataconfig").items():
            if isinstance(channel, dict) and channel.get("TrainingInputMode") == "Pipe":
                raise InputError(f'channel "{name}" is of mode Pipe: use File or FastFile')
            if name not in (DATA, MODEL, SECRETS, *SPLITS):
                raise InputError(f'unknown channel "{name}": known are {", ".join((DATA, *SPLITS, MODEL, SECRETS))}')
            found[name] = self.base / "input" / "data" / name
            if not found[name].is_dir():
                raise InputError(f'channel "{name}" has no folder {found[name]}')
        return found

    def refuse_several_hosts(self) -> None:
        """Several machines would train several models and write over each other's files."""
        hosts = self.config("resourceconfig").get("hosts", [])
        if len(hosts) > 1:
            raise InputError(f"the job has {len(hosts)} instances; training is done on one: set InstanceCount to 1")

    def fail(self, reason: str) -> None:
        """Leaves the reason where SageMaker looks for it, on one line."""
        self.failure.parent.mkdir(parents=True, exist_ok=True)
        self.failure.write_text(" ".join(reason.split())[:FAILURE_CHARACTERS], encoding="utf-8")


def container(environment: Mapping[str, str]) -> Container:
    """The folders under SAGEMAKER_BASE_DIR, or /opt/ml."""
    return Container(Path(environment.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))


def hand_on_secrets(container: Container, environment: MutableMapping[str, str]) -> None:
    """A file WANDB_API_KEY in the channel "secrets" sets WANDB_API_KEY_FILE, and so on."""
    folder = container.channels().get(SECRETS)
    for path in sorted(folder.iterdir()) if folder else ():
        if path.is_file() and path.name.isidentifier():
            environment.setdefault(f"{path.name}_FILE", str(path))


def clear(folder: Path) -> None:
    """Removes what is in the folder, not the folder: it may be a mount."""
    for path in folder.glob("*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
