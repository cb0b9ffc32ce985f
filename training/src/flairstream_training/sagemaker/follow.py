"""Watches a training job: what it does, what it logs, how it ended, and its bundle."""

import sys
import tarfile
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .. import bundle
from ..errors import InputError
from .aws import Clients, explained, place

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
POLL_SECONDS = 10.0
_ENDED = ("Completed", "Failed", "Stopped")


class JobFailedError(InputError):
    """The job ended without a model; the message has SageMaker's reason."""

    code = 1


@dataclass
class Log:
    """A job's log, line by line, as CloudWatch has it; one stream for each start of the container."""

    clients: Clients
    job: str
    tokens: dict[str, str] = field(default_factory=dict)

    def show(self) -> None:
        """Prints what is new."""
        for stream in self._streams():
            while self._page(stream):
                pass

    def _streams(self) -> list[str]:
        try:
            found = self.clients.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.job}/")
        except self.clients.logs.exceptions.ResourceNotFoundException:
            return []  # nothing logged yet
        return [stream["logStreamName"] for stream in found["logStreams"]]

    def _page(self, stream: str) -> bool:
        """Prints a page; false where the end is reached, which is where the token stays the same."""
        token = self.tokens.get(stream)
        page = self.clients.logs.get_log_events(
            logGroupName=LOG_GROUP,
            logStreamName=stream,
            startFromHead=True,
            **({"nextToken": token} if token else {}),
        )
        for event in page["events"]:
            print(event["message"].rstrip("\n"), flush=True)
        self.tokens[stream] = page["nextForwardToken"]
        return page["nextForwardToken"] != token


def follow(clients: Clients, name: str) -> dict:
    """Shows the job's states and its log until it ended; returns its description. Raises JobFailedError."""
    log, shown = Log(clients, name), 0
    while True:
        with explained(f"training job {name}"):
            job = clients.sagemaker.describe_training_job(TrainingJobName=name)
            log.show()
        steps = job.get("SecondaryStatusTransitions", [])
        for step in steps[shown:]:
            print(f"[{step['StartTime']:%H:%M:%S}] {step['Status']}: {step.get('StatusMessage', '')}", file=sys.stderr)
        shown = len(steps)
        ended = job["TrainingJobStatus"] in _ENDED
        time.sleep(POLL_SECONDS)  # also at the end: CloudWatch has the last lines a little later
        if ended:
            break
    with explained(f"log of training job {name}"):
        log.show()
    if job["TrainingJobStatus"] != "Completed":
        reason = job.get("FailureReason") or job.get("SecondaryStatus", "")
        raise JobFailedError(f"training job {name}: {job['TrainingJobStatus']}: {reason}")
    return job


def fetch(clients: Clients, job: dict, out: Path, overwrite: bool) -> dict:
    """Puts the job's bundle at out, verified and whole or not at all; returns its manifest.

    What came to stand at out since the job was begun is not written over, but for a bundle where that was asked for.
    """
    source = place(job["ModelArtifacts"]["S3ModelArtifacts"], "model of the job")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        archive, staged = Path(scratch) / "model.tar.gz", Path(scratch) / "bundle"
        print(f"fetching {source}", file=sys.stderr)
        with explained(f"fetch {source}"):
            clients.s3.download_file(source.bucket, source.prefix, str(archive))
        staged.mkdir()
        unpack(archive, staged)
        manifest = bundle.verify(staged)
        bundle.place(staged, out, overwrite)
    return manifest


def unpack(archive: Path, folder: Path) -> None:
    """Writes the archive's files into the folder. A bundle is flat: anything else in it is refused."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if member.isdir() and name == PurePosixPath("."):
                    continue
                if not member.isreg() or len(name.parts) != 1 or name.name in ("", ".."):
                    raise InputError(f'the job\'s model.tar.gz holds "{member.name}", which no bundle has')
                with tar.extractfile(member) as content, (folder / name.name).open("xb") as file:
                    while block := content.read(1 << 20):
                        file.write(block)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as err:
        raise InputError(f"cannot unpack the job's model.tar.gz: {err}") from None
