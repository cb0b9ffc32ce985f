"""What SageMaker does around a training container: the folders before it, and its start."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from flairstream_training import cli


def lay_out(base: Path, hyper_parameters: Mapping[str, str], channels: Mapping[str, Path], hosts=("algo-1",)) -> Path:
    """Makes the folders of a job as they are when its container starts; gives their base."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    write = {
        "hyperparameters": dict(hyper_parameters),
        "inputdataconfig": {
            name: {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
            for name in channels
        },
        "resourceconfig": {"current_host": hosts[0], "hosts": list(hosts), "network_interface_name": "eth0"},
    }
    for name, content in write.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    for name, source in channels.items():
        shutil.copytree(source, base / "input" / "data" / name)
    for folder in ("model", "output", "checkpoints"):
        (base / folder).mkdir()
    return base


def settings(base: Path, job: str, **environment: str) -> dict[str, str]:
    """The variables that are set in a job's container."""
    return {"SAGEMAKER_BASE_DIR": str(base), "TRAINING_JOB_NAME": job, "HF_HUB_OFFLINE": "1", **environment}


def start(base: Path, job: str, **environment: str) -> subprocess.Popen:
    """Starts the container's entry point as SageMaker does: with the word "train"."""
    return subprocess.Popen(
        [sys.executable, "-m", "flairstream_training.cli", "sagemaker", "train"],
        env={**os.environ, **settings(base, job, **environment)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_interrupted(log: Path, environment: Mapping[str, str]) -> None:
    """The same in this process, which writes to the log and gets SIGTERM as soon as it has a checkpoint."""
    from flairstream_training.checkpoint import Checkpoint

    save = Checkpoint.save

    def save_and_stop(self: Checkpoint, name: str, state: dict) -> None:
        save(self, name, state)
        if name == "last.pt":
            os.kill(os.getpid(), signal.SIGTERM)

    Checkpoint.save = save_and_stop
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    sys.exit(cli.main(["sagemaker", "train"]))
