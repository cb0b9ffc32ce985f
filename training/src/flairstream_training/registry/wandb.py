"""Weights & Biases' registry, through its own client.

A registered model is a collection of the organisation's registry; a version is a link there to an artifact of type
"model" that a run logged. Tags are the artifact's metadata.
"""

import os
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import wandb
from wandb.errors import CommError

from ..errors import InputError
from ..tracking import wandb_client
from .version import Version


class WandbRegistry:
    """One collection in a registry of an organisation."""

    def __init__(self, organisation: str, registry: str, name: str) -> None:
        self.name = name
        self._url = f"wandb://{organisation}/{registry}/{name}"
        self._path = f"{organisation}/wandb-registry-{registry}/{name}"
        self._api = wandb.Api()

    def find(self, reference: str) -> Version | None:
        with self._explained(f'look for "{reference}"'):
            try:
                return self._version(self._api.artifact(f"{self._path}:{reference}"))
            except CommError as err:
                if "not found" in str(err):  # as the client itself says where the answer is null
                    return None
                raise

    def with_digest(self, digest: str) -> None:
        """None: W&B takes an upload of the same files for the same version, without our help."""

    def create(self, bundle: Path, run_id: str, tags: Mapping[str, str], card: str) -> Version:
        with self._explained("upload the bundle"), self._run(run_id, tags) as run:
            artifact = wandb.Artifact(self.name, type="model", description=card, metadata=dict(tags))
            artifact.add_dir(str(bundle), policy="immutable", skip_cache=True)  # no copies beside the files
            logged = run.log_artifact(artifact).wait()
            return self._version(run.link_artifact(logged, self._path))

    def alias(self, version: Version, alias: str) -> None:
        with self._explained(f'set the alias "{alias}"'):
            artifact = self._api.artifact(f"{self._path}:{version.number}")
            if alias not in artifact.aliases:
                artifact.aliases = [*artifact.aliases, alias]
                artifact.save()

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        with self._explained("set metadata"):
            artifact = self._api.artifact(f"{self._path}:{version.number}")
            artifact.metadata = {**artifact.metadata, **tags}
            artifact.save()

    def download(self, version: Version, folder: Path) -> Path:
        with self._explained(f"download version {version.number}"):
            artifact = self._api.artifact(f"{self._path}:{version.number}")
            return Path(artifact.download(root=str(folder), skip_cache=True))

    def reference(self, version: Version) -> str:
        return f"{self._url}:{version.number}"

    def _version(self, artifact) -> Version:
        aliases = tuple(sorted(alias for alias in artifact.aliases if alias != artifact.version))
        tags = {key: str(value) for key, value in artifact.metadata.items()}
        return Version(self.name, artifact.version, artifact.url, f"{self._path}:{artifact.version}", aliases, tags)

    @contextmanager
    def _run(self, run_id: str, tags: Mapping[str, str]):
        """A short run of its own that logs the artifact: the one that trained may still be open in this process."""
        with tempfile.TemporaryDirectory(prefix="flairstream-wandb-") as scratch:
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", self.name),
                job_type="register",
                name=f"register {tags['bundle_name']} {tags['bundle_version']}",
                group=run_id or None,
                config={"trained_in": tags.get("run_url", "")},
                dir=scratch,
                reinit="create_new",
                settings=wandb.Settings(**wandb_client.QUIET),
            )
            try:
                yield run
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()

    @contextmanager
    def _explained(self, what: str):
        """Whatever the client raises, in one line: its errors have no common kind."""
        try:
            yield
        except InputError:
            raise
        except Exception as err:
            raise InputError(f"{self._url}: cannot {what}: {wandb_client.explained(err)}") from None
