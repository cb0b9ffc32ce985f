"""Hands a training to SageMaker: data to S3, and the job."""

import datetime
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .aws import Clients, Place, explained, place
from .contract import DATA, MODEL, ROWS, SECRETS, SPLITS

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # CreateTrainingJob's rule


@dataclass(frozen=True)
class Submission:
    """What is asked of SageMaker. Sizes in GB, times in seconds."""

    name: str
    image: str
    role: str
    instance: str
    output: Place
    hyper_parameters: dict[str, str]
    data: str = ""  # local folder or s3:// URL; empty where the hyperparameters name the data
    base: str = ""  # local folder or s3:// URL; empty where the hyperparameters name the base model
    secrets: str = ""  # s3:// URL
    volume: int = 50
    longest: int = 24 * 3600
    spot: bool = False
    resume: str = ""  # the job whose checkpoints to go on from; empty: start anew
    environment: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(f'job name "{self.name}": want letters, digits and "-", at most 63')

    def channels(self) -> dict[str, str]:
        """Where each channel comes from."""
        return {name: url for name, url in ((DATA, self.data), (MODEL, self.base), (SECRETS, self.secrets)) if url}


def job_name(model: str, version: str, now: datetime.datetime) -> str:
    """Name, version and time, in the letters that SageMaker takes."""
    stem = re.sub(r"[^a-zA-Z0-9]+", "-", f"{model}-{version}").strip("-")[:46]
    return f"{stem.rstrip('-')}-{now:%Y%m%d-%H%M%S}"


def submit(clients: Clients, wanted: Submission) -> None:
    """Uploads what is local, then creates the job."""
    home = wanted.output.below(wanted.name)
    local = {name: _files(Path(source), name) for name, source in wanted.channels().items() if _is_local(source)}
    channels = {}
    for name, source in wanted.channels().items():
        target = home.below(f"input/{name}") if name in local else place(source, f"channel {name}")
        _upload(clients, local.get(name, []), Path(source), target)
        channels[name] = target
    with explained(f"create training job {wanted.name}"):
        clients.sagemaker.create_training_job(**request(wanted, channels))


def _is_local(source: str) -> bool:
    return not source.startswith("s3://")


def _files(folder: Path, channel: str) -> list[Path]:
    """What is uploaded: of data the files with rows, of a model everything but hidden files."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder} for the channel {channel}")
    if channel == DATA:
        found = [folder / f"{split}{kind}" for split in SPLITS for kind in ROWS]
    else:
        found = [
            path for path in sorted(folder.rglob("*")) if not any(part.startswith(".") for part in _below(path, folder))
        ]
    files = [path for path in found if path.is_file()]
    if not files:
        raise InputError(f"{folder} has no files for the channel {channel}")
    return files


def _below(path: Path, folder: Path) -> tuple[str, ...]:
    return path.relative_to(folder).parts


def _upload(clients: Clients, files: list[Path], folder: Path, target: Place) -> None:
    for number, path in enumerate(files, 1):
        to = target.below("/".join(_below(path, folder)))
        size = path.stat().st_size / 1e6
        print(f"uploading {number}/{len(files)}: {path.name}, {size:.1f} MB, to {to}", file=sys.stderr)
        with explained(f"upload {path.name} to {to}"):
            clients.s3.upload_file(str(path), to.bucket, to.prefix)


def request(wanted: Submission, channels: dict[str, Place]) -> dict:
    """What CreateTrainingJob is asked: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html."""
    stopping = {"MaxRuntimeInSeconds": wanted.longest}
    if wanted.spot:
        stopping["MaxWaitTimeInSeconds"] = 2 * wanted.longest
    return {
        "TrainingJobName": wanted.name,
        "AlgorithmSpecification": {"TrainingImage": wanted.image, "TrainingInputMode": "File"},
        "RoleArn": wanted.role,
        "HyperParameters": wanted.hyper_parameters,
        "InputDataConfig": [_channel(name, source) for name, source in channels.items()],
        "OutputDataConfig": {"S3OutputPath": str(wanted.output)},
        "ResourceConfig": {"InstanceType": wanted.instance, "InstanceCount": 1, "VolumeSizeInGB": wanted.volume},
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": wanted.spot,
        "CheckpointConfig": {"S3Uri": str(wanted.output.below(f"{wanted.resume or wanted.name}/checkpoints"))},
        "Environment": wanted.environment,
        "Tags": [{"Key": key, "Value": value} for key, value in wanted.tags.items()],
    }


def _channel(name: str, source: Place) -> dict:
    s3 = {"S3DataType": "S3Prefix", "S3Uri": f"{source}/", "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": s3}, "InputMode": "File"}
