"""Sends what was kept of one run to MLflow, through its own client. Called by the sender's thread only.

What is sent twice after a lost answer is the same to MLflow: a metric is told from another by run, name, step, time and
value; files are written over.
"""

import itertools
import json
import re
import shutil
import sys
from pathlib import Path

from . import mlflow_client
from .run import Run
from .sender import UnavailableError, say
from .spool import Kept

_AT_ONCE = {"metrics": 1000, "params": 100, "tags": 100}  # in one request, by MLflow's REST interface
_LONGEST_KEY, _LONGEST = 250, {"params": 6000, "tags": 8000}  # characters
_TRIES = 5  # of a record that the server answers with an error
_KEY = "flairstream.key"
_OTHER = re.compile(r"[^/\w.\- :]")  # what MLflow does not take in a name


class Delivery:
    """The way of one run's records to the server."""

    def __init__(self, run: Run, folder: Path, above: "Delivery | None" = None) -> None:
        self.run, self._folder, self._above = run, folder, above
        self._client = mlflow_client.client()
        self._told: set[str] = set()
        self._window = sys.maxsize  # records sent in one go: fewer after a failure, so that one stands alone at last
        self._failures = 0  # in a row

    def send(self, batch: list[Kept]) -> int:
        """Sends the first record, or all metrics up to the next record of another kind."""
        kind = batch[0].record["kind"]
        metrics = itertools.takewhile(lambda kept: kept.record["kind"] == "metrics", batch)
        alike = list(itertools.islice(metrics, self._window)) or batch[:1]
        try:
            self.make()
            getattr(self, f"_send_{kind}")(*(kept.record for kept in alike))
        except mlflow_client.errors() as err:
            if mlflow_client.temporary(err) and not self._alone_at_fault(len(alike)):
                self._client = mlflow_client.client()  # a secret that stands in a file may have changed
                raise UnavailableError(mlflow_client.reason(err)) from None
            self._refused(kind, err)
        self._failures, self._window = 0, min(2 * self._window, sys.maxsize)
        return alike[-1].end

    def _alone_at_fault(self, records: int) -> bool:
        """Whether it must be the record: tried often, by itself, while the server takes another request."""
        self._failures += 1
        self._window = max(1, records // 2)
        if records > 1 or self._failures < _TRIES or not self.run.run_id:
            return False
        try:
            self._client.get_run(self.run.run_id)
        except mlflow_client.errors():
            return False
        return True

    def make(self) -> None:
        """Makes the run where the server has none yet."""
        if self.run.run_id:
            return
        tags = {_KEY: self.run.key}
        if self._above:
            if not self._above.run.run_id:
                raise UnavailableError(f"the run {self.run.parent} is not at the server yet")
            tags["mlflow.parentRunId"] = self._above.run.run_id
        experiment = self._experiment_id(self.run.place[1])
        found = self._client.search_runs([experiment], f"tags.`{_KEY}` = '{self.run.key}'")  # an answer may get lost
        made = found[0] if found else self._client.create_run(experiment, self.run.started, tags, self.run.name)
        page = f"{mlflow_client.server()}/#/experiments/{experiment}/runs/{made.info.run_id}"
        self.run = self.run.made(self._folder, made.info.run_id, page)

    def _experiment_id(self, name: str) -> str:
        if found := self._client.get_experiment_by_name(name):
            return found.experiment_id
        try:
            return self._client.create_experiment(name)
        except mlflow_client.errors():  # somebody else was faster
            if found := self._client.get_experiment_by_name(name):
                return found.experiment_id
            raise

    def _send_metrics(self, *records: dict) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(_key(name), value, record["time"], record["step"])
            for record in records
            for name, value in record["metrics"].items()
        ]
        self._log("metrics", metrics)

    def _send_parameters(self, record: dict) -> None:
        from mlflow.entities import Param

        self._log("params", [Param(_key(name), _cut(value, "params")) for name, value in record["values"].items()])

    def _send_tags(self, record: dict) -> None:
        from mlflow.entities import RunTag

        self._log("tags", [RunTag(_key(name), _cut(value, "tags")) for name, value in record["values"].items()])

    def _log(self, kind: str, entities: list) -> None:
        size = _AT_ONCE[kind]
        for start in range(0, len(entities), size):
            self._log_apart(kind, entities[start : start + size])

    def _log_apart(self, kind: str, entities: list) -> None:
        """Halves what is refused: one entry must not take the others with it."""
        try:
            self._client.log_batch(self.run.run_id, synchronous=True, **{kind: entities})
        except Exception as err:  # a name or value may be refused before it is sent, in many ways
            if mlflow_client.temporary(err):
                raise
            if len(entities) == 1:
                self._refused(kind, err)
                return
            for half in (entities[: len(entities) // 2], entities[len(entities) // 2 :]):
                self._log_apart(kind, half)

    def _send_files(self, record: dict) -> None:
        """File by file: so a refusal is told from an outage."""
        copy = self._folder / record["copy"]
        for path in sorted(path for path in copy.rglob("*") if path.is_file()):
            self._client.log_artifact(self.run.run_id, str(path), str(path.relative_to(copy).parent))
            if record["table"]:
                self._show_table(str(path.relative_to(copy)))
        shutil.rmtree(copy, ignore_errors=True)

    def _show_table(self, path: str) -> None:
        """MLflow's page shows as tables the files that this tag names."""
        tag = "mlflow.loggedArtifacts"
        shown = json.loads(self._client.get_run(self.run.run_id).data.tags.get(tag, "[]"))
        if (entry := {"path": path, "type": "table"}) not in shown:
            self._client.set_tag(self.run.run_id, tag, json.dumps([*shown, entry]))

    def _send_status(self, record: dict) -> None:
        if record["status"] == "RUNNING":
            self._client.update_run(self.run.run_id, status="RUNNING")
        else:
            self._client.set_terminated(self.run.run_id, record["status"], record["time"])

    def _refused(self, kind: str, err: Exception) -> None:
        if kind not in self._told:
            say(f"{kind} refused and left out: {mlflow_client.reason(err)}")
        self._told.add(kind)


def _key(name: str) -> str:
    return _OTHER.sub("_", name)[:_LONGEST_KEY]


def _cut(value: str, kind: str) -> str:
    longest = _LONGEST[kind]
    return value if len(value) <= longest else value[: longest - 1] + "…"
