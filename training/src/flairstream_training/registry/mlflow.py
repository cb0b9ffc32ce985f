"""MLflow's model registry, through MLflow's own client."""

import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from .. import bundle as bundles
from ..errors import InputError
from ..tracking import mlflow_client
from .version import Version

ARTIFACT = "bundle"  # the artifact's path in its run

# What the columns of MLflow's tables take; SQLite takes more, PostgreSQL and MySQL do not.
_DESCRIPTION = 5000
_TAG = 5000

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second is what an unknown alias gets


class MLflowRegistry:
    """One registered model of the server at MLFLOW_TRACKING_URI."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.name, self._client = name, client

    def find(self, reference: str) -> Version | None:
        with self._explained(f'look for "{reference}"'):
            try:
                if reference.isdecimal():
                    return self._version(self._client.get_model_version(self.name, reference))
                return self._version(self._client.get_model_version_by_alias(self.name, reference))
            except MlflowException as err:
                if err.error_code in _ABSENT:
                    return None
                raise

    def with_digest(self, digest: str) -> Version | None:
        with self._explained("look for the bundle's digest"):
            found = self._client.search_model_versions(f"name = '{self.name}' and tags.digest = '{digest}'")
            return self.find(found[0].version) if found else None

    def create(self, bundle: Path, run_id: str, tags: Mapping[str, str], card: str) -> Version:
        with self._explained("upload the bundle"), self._run(run_id, tags) as run:
            path = self._upload(bundle, run, tags["digest"])
            self._check_upload(bundle, run.info.run_id, path)
            source = f"{run.info.artifact_uri}/{path}"
            try:
                self._client.create_registered_model(self.name)
            except MlflowException as err:
                if err.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            created = self._client.create_model_version(
                self.name,
                source,
                run.info.run_id,
                tags=_cut_tags(tags),
                description=_cut(card, _DESCRIPTION),
                await_creation_for=0,  # what is registered by its source is ready at once
            )
            return self._version(created)

    def alias(self, version: Version, alias: str) -> None:
        with self._explained(f'set the alias "{alias}"'):
            self._client.set_registered_model_alias(self.name, alias, version.number)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        with self._explained("set tags"):
            for key, value in _cut_tags(tags).items():
                self._client.set_model_version_tag(self.name, version.number, key, value)

    def download(self, version: Version, folder: Path) -> Path:
        with self._explained(f"download version {version.number}"):
            uri = self._client.tracking_uri
            return Path(download_artifacts(artifact_uri=version.source, dst_path=str(folder), tracking_uri=uri))

    def reference(self, version: Version) -> str:
        return f"mlflow://models/{self.name}/{version.number}"

    @contextmanager
    def _explained(self, what: str):
        try:
            yield
        except (MlflowException, OSError) as err:
            why = mlflow_client.reason(err) if isinstance(err, MlflowException) else str(err)
            raise InputError(f"mlflow://models/{self.name}: cannot {what}: {why}") from None

    def _version(self, found) -> Version:
        page = f"{mlflow_client.server()}/#/models/{quote(self.name)}/versions/{found.version}"
        tags = dict(found.tags)
        return Version(self.name, str(found.version), page, found.source, tuple(sorted(found.aliases)), tags)

    @contextmanager
    def _run(self, run_id: str, tags: Mapping[str, str]):
        """The tracked run where this server has it, else one of our own, in an experiment of the model's name."""
        if run_id:
            try:
                yield self._client.get_run(run_id)
                return
            except MlflowException as err:
                if err.error_code not in _ABSENT:
                    raise
        run = self._own_run(f"register {tags['bundle_name']} {tags['bundle_version']}")
        try:
            yield run
        except BaseException:
            self._client.set_terminated(run.info.run_id, "FAILED")
            raise
        self._client.set_terminated(run.info.run_id)

    def _own_run(self, name: str) -> Run:
        experiment = self._client.get_experiment_by_name(self.name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(self.name)
        return self._client.create_run(number, run_name=name)

    def _upload(self, bundle: Path, run: Run, digest: str) -> str:
        """Uploads unless it is there already; never over another bundle, which a version may stand for.

        The manifest goes last: a folder without it is an upload that was cut off, and is gone on with.
        """
        if not run.info.artifact_uri.startswith("mlflow-artifacts:"):
            raise InputError(
                f"MLflow keeps artifacts at {run.info.artifact_uri}, where workers cannot fetch them: start the server "
                "with --artifacts-destination (and not --no-serve-artifacts), and take a new experiment"
            )
        for path in (ARTIFACT, f"{ARTIFACT}-{digest[:12]}"):
            there = self._sizes(run.info.run_id, path)
            ours = bundles.MANIFEST in there and self._digest(run.info.run_id, path) == digest
            if ours and there == _sizes(bundle):
                return path
            if ours or bundles.MANIFEST not in there:
                break
        for file in sorted(bundle.iterdir(), key=lambda file: file.name == bundles.MANIFEST):
            self._client.log_artifact(run.info.run_id, str(file), path)
        return path

    def _check_upload(self, bundle: Path, run_id: str, path: str) -> None:
        if self._sizes(run_id, path) != _sizes(bundle) or self._digest(run_id, path) != bundles.digest(bundle):
            raise InputError("what arrived at the server is not the bundle: try again")

    def _sizes(self, run_id: str, path: str) -> dict[str, int]:
        return {Path(file.path).name: file.file_size for file in self._client.list_artifacts(run_id, path)}

    def _digest(self, run_id: str, path: str) -> str:
        with tempfile.TemporaryDirectory(prefix="flairstream-") as scratch:
            file = self._client.download_artifacts(run_id, f"{path}/{bundles.MANIFEST}", scratch)
            return bundles.digest(Path(file).parent)


def _sizes(bundle: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in bundle.iterdir()}


def _cut(text: str, limit: int) -> str:
    note = "\n\n(cut here: the whole card is README.md in the bundle)"
    return text if len(text) <= limit else text[: limit - len(note)] + note


def _cut_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value if len(value) <= _TAG else f"{value[: _TAG - 1]}…" for key, value in tags.items()}
