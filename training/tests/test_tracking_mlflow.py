"""Runs tracked at a real MLflow server, looked at by plain REST."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import requests
from matplotlib.figure import Figure

from flairstream_training import cli, tracking
from flairstream_training.errors import InputError
from flairstream_training.tracking import sender
from mlflow_server import free_port
from tcp_link import Link


@pytest.fixture
def link(mlflow_server, monkeypatch):
    """The tests' way to the server."""
    way = Link(mlflow_server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", way.address)
    monkeypatch.setattr(sender, "LINGER_SECONDS", 0.02)
    monkeypatch.setattr(sender, "FIRST_DELAY_SECONDS", 0.1)
    yield way
    way.close()


class Server:
    """The server by plain REST, past the link."""

    def __init__(self, address: str) -> None:
        self.api = f"{address}/api/2.0/mlflow"

    def run(self, run_id: str) -> dict:
        return requests.get(f"{self.api}/runs/get", {"run_id": run_id}, timeout=30).json()["run"]

    def tags(self, run_id: str) -> dict:
        return {tag["key"]: tag["value"] for tag in self.run(run_id)["data"]["tags"]}

    def metric(self, run_id: str, name: str) -> list[tuple[int, float]]:
        query = {"run_id": run_id, "metric_key": name, "max_results": 20000}
        metrics = requests.get(f"{self.api}/metrics/get-history", query, timeout=30).json().get("metrics", [])
        return sorted((int(metric["step"]), metric["value"]) for metric in metrics)

    def files(self, run_id: str, folder: str = "") -> list[str]:
        query = {"run_id": run_id, "path": folder} if folder else {"run_id": run_id}
        found = requests.get(f"{self.api}/artifacts/list", query, timeout=30).json().get("files", [])
        return sorted(file["path"] for file in found)

    def file(self, run_id: str, path: str) -> bytes:
        uri = self.run(run_id)["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        return requests.get(f"{self.api}-artifacts/artifacts/{uri}/{path}", timeout=30).content

    def search(self, experiment: str, condition: str) -> list[dict]:
        found = requests.get(f"{self.api}/experiments/get-by-name", {"experiment_name": experiment}, timeout=30)
        query = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "filter": condition}
        return requests.post(f"{self.api}/runs/search", json=query, timeout=30).json().get("runs", [])


@pytest.fixture
def server(mlflow_server) -> Server:
    return Server(mlflow_server)


@pytest.mark.usefixtures("link")
def test_everything_arrives(server, tmp_path, capsys):
    tracker = tracking.open("mlflow://experiments/whole", "one", tmp_path)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    (bundle / "model.onnx").write_bytes(bytes(range(256)) * 100)
    figure = Figure()
    figure.subplots().plot([1, 2])

    tracker.parameters({"learning_rate": 5e-5, "notes, long": "x" * 7000} | {f"p{n}": n for n in range(150)})
    for step in range(1, 1501):
        tracker.metrics({"train/batch_loss": 1 / step, "validation/label a&b": float("nan")}, step)
    tracker.table("by class", ["label", "f1"], [["garden", 0.5], ["küche", 1.0]])
    tracker.figure("confusion", figure)
    tracker.folder("bundle", bundle)
    tracker.card("# Topics\n\n" + "word " * 3000)
    tracker.tags({"model_version": "topics/3"})
    tracker.figure("broken", None)
    tracker.folder("absent", tmp_path / "nowhere")
    (bundle / "bundle.json").unlink()  # what was handed over is kept, whatever happens to the original
    tracker.finish()

    run = server.run(tracker.run_id)
    parameters = {entry["key"]: entry["value"] for entry in run["data"]["params"]}
    assert parameters["learning_rate"] == "5e-05"
    assert parameters["p149"] == "149"
    assert len(parameters["notes_ long"]) == 6000
    assert server.metric(tracker.run_id, "train/batch_loss") == [(step, 1 / step) for step in range(1, 1501)]
    assert len(server.metric(tracker.run_id, "validation/label a_b")) == 1500
    assert json.loads(server.file(tracker.run_id, "tables/by-class.json"))["data"][1] == ["küche", 1.0]
    assert server.file(tracker.run_id, "figures/confusion.png").startswith(b"\x89PNG")
    assert server.file(tracker.run_id, "bundle/model.onnx") == bytes(range(256)) * 100
    assert server.file(tracker.run_id, "bundle/bundle.json") == b"{}"
    tags = server.tags(tracker.run_id)
    assert tags["mlflow.note.content"].startswith("# Topics")
    assert tags["model_version"] == "topics/3"
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "tables/by-class.json", "type": "table"}]
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["run_name"] == "one"
    assert requests.get(tracker.url, timeout=30).ok
    assert not list((tmp_path / "tracking" / "kept").iterdir())  # copies go when they were sent
    assert "cannot keep figures" in (told := capsys.readouterr().err)
    assert "cannot keep absent" in told


def test_an_outage_loses_nothing_and_doubles_nothing(link, server, tmp_path, capsys):
    tracker = tracking.open("mlflow://experiments/outage", "one", tmp_path)
    for step in range(1, 401):
        if step == 100:
            assert tracker.flush() == ""
            link.cut()
        if step == 300:
            assert "does not answer" in until(lambda: capsys.readouterr().err)
            link.join()
        tracker.metrics({"train/batch_loss": float(step)}, step)
        if step == 150:
            tracker.table("during", ["a"], [[1]])
    tracker.finish()
    (tmp_path / "tracking" / "sent").unlink()  # as if the last answers had been lost: all is sent again
    tracking.sync(tmp_path)

    assert server.metric(tracker.run_id, "train/batch_loss") == [(step, float(step)) for step in range(1, 401)]
    assert server.files(tracker.run_id, "tables") == ["tables/during.json"]
    assert server.run(tracker.run_id)["info"]["status"] == "FINISHED"


def test_what_is_not_sent_at_the_end_is_sent_by_sync(link, server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sender, "GRACE_SECONDS", 0.2)
    tracker = tracking.open("mlflow://experiments/late", "one", tmp_path)
    child = tracker.child("trial 1")
    link.cut()
    tracker.metrics({"loss": 0.5}, 1)
    child.metrics({"loss": 0.25}, 1)
    child.finish()
    tracker.finish()
    assert f"flairstream-train sync {tmp_path} sends it" in capsys.readouterr().err
    assert cli.main(["sync", str(tmp_path)]) == 2
    assert "does not answer" in capsys.readouterr().err

    link.join()
    assert cli.main(["sync", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tracker.url}\n"
    assert server.metric(tracker.run_id, "loss") == [(1, 0.5)]
    [below] = server.search("late", f"tags.mlflow.parentRunId = '{tracker.run_id}'")
    assert below["info"]["run_name"] == "trial 1"
    assert server.metric(below["info"]["run_id"], "loss") == [(1, 0.25)]


_TRAINING = """
import signal, sys
from pathlib import Path
from flairstream_training import tracking
tracker = tracking.open("mlflow://experiments/killed", "one", Path(sys.argv[1]))
for step in range(1, 51):
    tracker.metrics({"loss": float(step)}, step)
print(tracker.run_id, flush=True)
signal.pause()
"""


def test_a_killed_training_goes_on_in_its_run(link, server, tmp_path, capfd):
    first = subprocess.Popen([sys.executable, "-c", _TRAINING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    run_id = first.stdout.readline().strip()
    with pytest.raises(InputError, match="in use by another process"):
        tracking.open("mlflow://experiments/killed", "one", tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    link.cut()  # the server may be away as well when it goes on
    tracker = tracking.open("mlflow://experiments/killed", "one", tmp_path)
    assert "Going on" in capfd.readouterr().err
    for step in range(31, 81):  # from its last checkpoint
        tracker.metrics({"loss": float(step)}, step)
    link.join()
    tracker.finish()
    assert tracker.run_id == run_id

    assert server.metric(run_id, "loss") == [(step, float(step)) for step in range(1, 81)]
    assert server.run(run_id)["info"]["status"] == "FINISHED"


@pytest.mark.usefixtures("link")
def test_a_child_is_the_same_run_after_a_resume(server, tmp_path):
    for _ in range(2):
        tracker = tracking.open("mlflow://experiments/search", "search", tmp_path)
        for name, score in (("trial 1", 0.5), ("trial 2", 0.75)):
            child = tracker.child(name)
            child.parameters({"learning_rate": score})
            child.metrics({"validation/macro_f1": score}, 1)
            child.finish("NaN loss" if name == "trial 2" else "")
        tracker.finish()

    below = server.search("search", f"tags.mlflow.parentRunId = '{tracker.run_id}'")
    assert {run["info"]["run_name"]: run["info"]["status"] for run in below} == {
        "trial 1": "FINISHED",
        "trial 2": "FAILED",
    }
    [second] = [run["info"]["run_id"] for run in below if run["info"]["run_name"] == "trial 2"]
    assert server.metric(second, "validation/macro_f1") == [(1, 0.75)]
    assert server.tags(second)["failure"] == "NaN loss"


@pytest.mark.usefixtures("link")
def test_a_deleted_run_or_another_url_is_refused_at_the_start(server, tmp_path):
    tracker = tracking.open("mlflow://experiments/gone", "one", tmp_path)
    tracker.finish()
    with pytest.raises(InputError, match="is tracked at mlflow://experiments/gone"):
        tracking.open("mlflow://experiments/other", "one", tmp_path)
    requests.post(f"{server.api}/runs/delete", json={"run_id": tracker.run_id}, timeout=30).raise_for_status()
    with pytest.raises(InputError, match="give another --work"):
        tracking.open("mlflow://experiments/gone", "one", tmp_path)


def test_what_is_wrong_at_the_start_is_one_line(httpserver, monkeypatch, tmp_path):
    def refused(url: str = "mlflow://experiments/x") -> str:
        with pytest.raises(InputError) as caught:
            tracking.open(url, "one", tmp_path / "work")
        assert "\n" not in str(caught.value)
        assert "hush" not in str(caught.value)
        return str(caught.value)

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "MLFLOW_TRACKING_URI" in refused()
    assert "want mlflow://experiments/NAME" in refused("mlflow://models/x")
    assert "want mlflow://experiments/NAME" in refused("neptune://x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:hush@127.0.0.1:{free_port()}")
    assert "does not answer" in refused()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", httpserver.url_for(""))
    search = "/api/2.0/mlflow/experiments/search"
    httpserver.expect_request(search, headers={"Authorization": "Bearer hush"}).respond_with_data("no", status=401)
    (tmp_path / "token").write_text("hush\n")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "")
    assert "refuses the credentials: set MLFLOW_TRACKING_TOKEN" in refused()
    httpserver.clear()
    httpserver.expect_request(search).respond_with_data("Invalid Host header", status=403)
    assert "--allowed-hosts" in refused()
    httpserver.clear()
    httpserver.expect_request(search).respond_with_data("<html>hello</html>")
    assert "is no MLflow server" in refused()
    (tmp_path / "token").write_text("")
    assert "is empty" in refused()


def until(condition, seconds: float = 30):
    """Waits for what a real server takes its time for."""
    deadline = time.monotonic() + seconds
    while not (got := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return got
