"""Runs tracked by W&B's own client: offline, and at a local server that answers its requests."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import wandb
from matplotlib.figure import Figure

import wandb_server
from flairstream_training import cli, tracking
from flairstream_training.errors import InputError
from flairstream_training.tracking import wandb as tracker_module
from tcp_link import Link


@pytest.fixture
def server():
    with wandb_server.running() as (address, state):
        state.address = address
        yield state


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Nothing of the person who runs the tests is used, and each test has a client process of its own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def online(server, monkeypatch, tmp_path):
    (tmp_path / "key").write_text(wandb_server.KEY + "\n")
    monkeypatch.setenv("WANDB_API_KEY", "")  # set from the file, and put back at the test's end
    monkeypatch.setenv("WANDB_API_KEY_FILE", str(tmp_path / "key"))
    link = Link(server.address)
    monkeypatch.setenv("WANDB_BASE_URL", link.address)
    yield link
    link.close()


def track(tracker: tracking.Tracker, tmp_path) -> None:
    """One of each."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    figure = Figure()
    figure.subplots().plot([1, 2])
    tracker.parameters({"learning_rate": 5e-5, "base": tmp_path / "base"})
    for step in range(1, 21):
        tracker.metrics({"train/batch_loss": 1 / step}, step)
    tracker.metrics({"validation/macro_f1": 0.5, "epoch": 1}, 20)
    tracker.table("by class", ["label", "f1"], [["garden", 0.5], ["küche", None]])
    tracker.figure("confusion matrix", figure)
    tracker.folder("bundle", bundle)
    tracker.card("# Topics")
    tracker.tags({"model_version": "topics/3"})
    child = tracker.child("trial 1")
    child.metrics({"validation/macro_f1": 0.75}, 3)
    child.finish()
    tracker.finish()


def check(server: wandb_server.Wandb, run_id: str) -> None:
    """All of track() is there, once."""
    run = server.runs[run_id]
    config = {name: entry["value"] for name, entry in json.loads(run["config"]).items()}
    assert (run["entity"], run["project"], run["displayName"]) == ("team", "topics", "one")
    assert (config["learning_rate"], config["model_version"], run["notes"]) == (5e-5, "topics/3", "# Topics")
    losses = metric(server, run_id, "train/batch_loss")
    assert losses == [(step, 1 / step) for step in range(1, 21)]
    assert metric(server, run_id, "validation/macro_f1") == [(20, 0.5)]
    [child] = set(server.runs) - {run_id}
    assert (server.runs[child]["displayName"], server.runs[child]["groupName"]) == ("trial 1", f"one {run_id}")
    assert metric(server, child, "validation/macro_f1") == [(3, 0.75)]
    assert any("by%20class" in path for path in server.files)
    assert any("confusion%20matrix" in path and data.startswith(b"\x89PNG") for path, data in server.files.items())
    [artifact] = [artifact for artifact in server.artifacts.values() if artifact.collection == f"run-{run_id}-bundle"]
    assert artifact.state == "COMMITTED"
    assert b"{}" in server.files.values()


def metric(server: wandb_server.Wandb, run_id: str, name: str) -> list[tuple[int, float]]:
    lines = [line for _, line in sorted(server.history[run_id].items())]
    return [(line["step"], line[name]) for line in lines if name in line]


def test_an_online_run_has_everything(server, online, tmp_path):
    tracker = tracking.open("wandb://team/topics", "one", tmp_path / "work")
    track(tracker, tmp_path)
    check(server, tracker.run_id)
    told = repr((server.runs, server.history)).encode() + b"".join(server.files.values())
    assert server.runs[tracker.run_id]["host"] == "training"
    assert not [word for word in (sys.executable, str(Path(__file__)), "scikit-learn==") if word.encode() in told]
    assert tracker.url == f"{online.address}/team/topics/runs/{tracker.run_id}"


@pytest.mark.usefixtures("online")
def test_an_offline_run_is_sent_by_sync(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = tracking.open("wandb://team/topics", "one", tmp_path / "work")
    track(tracker, tmp_path)
    assert not server.runs
    assert list((tmp_path / "work").rglob(f"offline-run-*/run-{tracker.run_id}.wandb"))
    assert cli.main(["sync", str(tmp_path / "work")]) == 2
    assert "WANDB_MODE=offline" in capsys.readouterr().err

    monkeypatch.delenv("WANDB_MODE")
    assert cli.main(["sync", str(tmp_path / "work")]) == 0
    check(server, tracker.run_id)


@pytest.mark.soak  # the client sends every 15 s
def test_an_outage_loses_nothing(server, online, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracker_module, "FINISH_SECONDS", 3.0)
    tracker = tracking.open("wandb://team/topics", "one", tmp_path / "work")
    for step in range(1, 61):
        if step == 20:
            assert until(lambda: len(server.history.get(tracker.run_id, ())) == 19)
            online.cut()
        if step == 40:
            assert until(lambda: online.refused)  # it has tried
            online.join()
        tracker.metrics({"train/batch_loss": float(step)}, step)
    assert until(lambda: len(server.history[tracker.run_id]) == 60)

    online.cut()
    tracker.metrics({"train/batch_loss": 61.0}, 61)
    tracker.finish()
    assert f"flairstream-train sync {tmp_path}" in capsys.readouterr().err
    online.join()
    assert tracking.sync(tmp_path / "work") == [tracker.url]
    assert metric(server, tracker.run_id, "train/batch_loss") == [(step, float(step)) for step in range(1, 62)]


_TRAINING = """
import sys, time
from pathlib import Path
from flairstream_training import tracking
tracker = tracking.open("wandb://team/topics", "one", Path(sys.argv[1]))
first, last = int(sys.argv[2]), int(sys.argv[3])
for step in range(first, last + 1):
    tracker.metrics({"loss": float(step)}, step)
print(tracker.run_id, flush=True)
time.sleep(600 if len(sys.argv) > 4 else 0)
tracker.finish()
"""


_WITHOUT_CORE = """
import os, signal, sys
from pathlib import Path
from flairstream_training import tracking
from flairstream_training.tracking import run
work = Path(sys.argv[1])
tracker = tracking.open("wandb://team/topics", "one", work)
tracker.metrics({"loss": 0.5}, 1)
children = [int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
[core] = [pid for pid in children if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()]
os.kill(core, signal.SIGKILL)
tracker.finish("NaN loss")
run.lock(work / "tracking").close()  # nobody has it any more
print("ended")
"""


@pytest.mark.usefixtures("online")
def test_the_end_of_the_clients_other_process_does_not_end_the_training(tmp_path):
    command = [sys.executable, "-c", _WITHOUT_CORE, str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("ended\n", 0), done.stderr
    assert f"It is kept: flairstream-train sync {tmp_path / 'work'} sends it" in done.stderr


@pytest.mark.soak
@pytest.mark.usefixtures("online")
def test_a_killed_training_goes_on_in_its_run(server, tmp_path):
    def training(*arguments: object) -> subprocess.Popen:
        command = [sys.executable, "-c", _TRAINING, str(tmp_path / "work"), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    first = training(1, 50, "then wait")
    run_id = first.stdout.readline().strip()
    assert until(lambda: len(server.history.get(run_id, ())) == 50)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    second = training(31, 80)  # from its last checkpoint
    out, _ = second.communicate(timeout=120)
    assert (out.strip(), second.returncode) == (run_id, 0)
    assert metric(server, run_id, "loss") == [(step, float(step)) for step in range(1, 81)]


def test_the_end_of_a_trial_does_not_hold_up_its_search(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = tracking.open("wandb://team/topics", "one", tmp_path / "work")
    child = tracker.child("trial 1")
    back, finish, ended = threading.Event(), child._run.finish, []
    monkeypatch.setattr(child._run, "finish", lambda **code: back.wait(60) and ended.append(finish(**code)))
    child.finish()
    assert not ended
    back.set()
    tracker.finish()
    assert ended == [None]


def test_what_is_wrong_at_the_start_is_one_line(online, monkeypatch, tmp_path):
    def refused() -> str:
        wandb.teardown()
        with pytest.raises(InputError) as caught:
            tracking.open("wandb://team/topics", "one", tmp_path / "work")
        assert "\n" not in str(caught.value)
        assert os.environ["WANDB_API_KEY"] not in str(caught.value) or not os.environ["WANDB_API_KEY"]
        return str(caught.value)

    (tmp_path / "key").write_text("f" * 40)
    assert "refuses the key" in refused()
    (tmp_path / "key").write_text(wandb_server.KEY)
    online.cut()
    assert "does not answer" in refused()
    monkeypatch.delenv("WANDB_API_KEY_FILE")
    monkeypatch.setenv("WANDB_API_KEY", "")
    assert "set WANDB_API_KEY" in refused()


_REAL = os.environ.get("FLAIRSTREAM_TEST_WANDB")  # read before the tests clear it
_KEY = os.environ.get("WANDB_API_KEY")


@pytest.mark.skipif(
    not (_REAL and _KEY), reason="FLAIRSTREAM_TEST_WANDB=ENTITY/PROJECT and WANDB_API_KEY make a run at the real W&B"
)
def test_a_run_at_the_real_server(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", _KEY)
    tracker = tracking.open(f"wandb://{_REAL}", "flairstream test", tmp_path / "work")
    track(tracker, tmp_path)
    run = wandb.Api().run(f"{_REAL}/{tracker.run_id}")
    assert len(list(run.scan_history(keys=["train/batch_loss"]))) == 20


def until(condition, seconds: float = 60):
    """Waits for what another process takes its time for."""
    deadline = time.monotonic() + seconds
    while not (got := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return got
