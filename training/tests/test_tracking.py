"""What trackers share: the spool, its sender, the trainer's plugin, secrets in files."""

import json
import os
import subprocess
import sys
import threading

import pytest

from flairstream_training import credentials, data, tracking
from flairstream_training.errors import InputError
from flairstream_training.hyper_parameters import HyperParameters
from flairstream_training.tracking import sender
from flairstream_training.tracking.sender import Sender, UnavailableError
from flairstream_training.tracking.spool import Spool


def numbers(spool: Spool, limit: int = 100) -> list[int]:
    return [kept.record["n"] for kept in spool.unsent(limit)]


def fill(spool: Spool, *values: int) -> None:
    for value in values:
        spool.append({"n": value})


def test_a_spool_goes_on_where_it_was(tmp_path):
    spool = Spool(tmp_path)
    fill(spool, 1, 2, 3)
    spool.mark(spool.unsent(2)[-1].end)
    spool.close()
    spool = Spool(tmp_path)
    fill(spool, 4)
    assert numbers(spool) == [3, 4]
    assert numbers(spool, limit=1) == [3]
    assert [record["n"] for record in spool.records()] == [1, 2, 3, 4]


def test_a_torn_or_damaged_line_is_left_out(tmp_path):
    spool = Spool(tmp_path)
    fill(spool, 1)
    spool.close()
    with (tmp_path / "spool.jsonl").open("ab") as file:
        file.write(b'\x00\x00\x00\n{"n": 2}\n{"n": 3')
    spool = Spool(tmp_path)
    fill(spool, 4)
    assert numbers(spool) == [1, 2, 4]


@pytest.mark.parametrize("mark", ["", "junk", "1000000"])
def test_a_lost_mark_sends_again_rather_than_not(tmp_path, mark):
    spool = Spool(tmp_path)
    fill(spool, 1, 2)
    spool.close()
    (tmp_path / "sent").write_text(mark)
    assert numbers(Spool(tmp_path)) == ([] if mark == "1000000" else [1, 2])


_FULL = """
import resource, sys
from pathlib import Path
from flairstream_training.tracking.spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.append({"n": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (20, resource.RLIM_INFINITY))
try:
    spool.append({"n": 2, "long": "x" * 100})
except OSError:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append({"n": 3})
print([kept.record["n"] for kept in spool.unsent(9)])
"""


def test_a_full_disk_leaves_no_half_line(tmp_path):
    done = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n[1, 3]\n"


def test_a_line_that_was_written_whole_stays_where_the_disk_does_not_say_so(tmp_path, monkeypatch):
    spool = Spool(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        fill(spool, 1)
    monkeypatch.undo()
    spool.mark(spool.unsent(1)[-1].end)  # the sender was quick
    fill(spool, 2)
    assert numbers(spool) == [2]


class Server:
    """Takes up to three records at a time, while it is up."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.up = threading.Event()
        self.up.set()
        self.asked = threading.Event()

    def send(self, batch) -> int:
        self.asked.set()
        if not self.up.is_set():
            raise UnavailableError("the server is away")
        self.got += [kept.record["n"] for kept in batch[:3]]
        return batch[:3][-1].end


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sender, "LINGER_SECONDS", 0.001)
    monkeypatch.setattr(sender, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(sender, "GRACE_SECONDS", 0.1)


@pytest.mark.usefixtures("quick")
def test_a_sender_sends_all_in_order_over_an_outage(tmp_path, capsys):
    spool, server = Spool(tmp_path), Server()
    sending = Sender(spool, server.send, server.up.is_set)
    fill(spool, *range(10))
    assert sending.flush() == ""
    server.up.clear()
    server.asked.clear()
    fill(spool, *range(10, 20))
    sending.wake()
    assert server.asked.wait(30)
    server.up.set()
    fill(spool, *range(20, 30))
    assert sending.close() == ""
    assert server.got == list(range(30))
    assert capsys.readouterr().err.splitlines()[-1] == "tracking: the server is back"


@pytest.mark.usefixtures("quick")
def test_a_record_that_breaks_the_client_is_left_out_and_a_missing_secret_is_waited_for(tmp_path, capsys):
    spool, got, faults = Spool(tmp_path), [], iter([InputError("TOKEN_FILE is empty"), ValueError("odd")])

    def send(batch) -> int:
        for fault in faults:
            raise fault
        got.extend(kept.record["n"] for kept in batch)
        return batch[-1].end

    fill(spool, 1, 2, 3)
    assert Sender(spool, send, lambda: True).close() == ""
    assert got == [2, 3]
    assert "a record cannot be sent and is left out: ValueError" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_sender_gives_up_at_the_end_and_says_what_is_left(tmp_path):
    spool, server = Spool(tmp_path), Server()
    server.up.clear()
    sending = Sender(spool, server.send, server.up.is_set)
    fill(spool, 1, 2)
    assert sending.close() == "2 records are not sent: the server is away"
    assert numbers(Spool(tmp_path)) == [1, 2]


def test_secrets_stand_in_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "old")
    credentials.read("TOKEN")
    assert os.environ["TOKEN"] == "old"
    monkeypatch.setenv("TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InputError, match="TOKEN_FILE: cannot read"):
        credentials.read("TOKEN")
    (tmp_path / "token").write_text("new\n")
    credentials.read("TOKEN")
    assert os.environ["TOKEN"] == "new"


def test_none_keeps_nothing(tmp_path):
    tracker = tracking.open("none", "one", tmp_path)
    tracker.child("trial").metrics({"loss": 1.0}, 1)
    tracker.finish()
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="nothing was tracked"):
        tracking.sync(tmp_path)


@pytest.mark.parametrize(("url", "package"), [("mlflow://experiments/x", "mlflow"), ("wandb://x", "wandb")])
def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, url, package):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"pip install 'flairstream-training\[{package}\]'"):
        tracking.open(url, "one", tmp_path)


class Recorder:
    def __init__(self) -> None:
        self.lines: list[tuple[int, dict]] = []

    def metrics(self, values, step: int) -> None:
        self.lines.append((step, dict(values)))

    def of(self, name: str) -> dict[int, float]:
        return {step: values[name] for step, values in self.lines if name in values}


class Broken:
    def metrics(self, *_) -> None:
        raise OSError("the tracker is broken")


def test_a_trainer_hands_over_steps_and_epochs(data_folder, base, tmp_path, capsys):
    from flair.trainers.plugins import TrainerPlugin

    from flairstream_training import train
    from flairstream_training.tracking.plugin import TrackerPlugin

    class Stop(TrainerPlugin):
        @TrainerPlugin.hook
        def before_training_batch(self, epoch: int, batch_no: int, **_) -> None:
            if (epoch, batch_no) == (2, 1):
                raise KeyboardInterrupt

    dataset = data.load(data.split_paths(data_folder, {}), "", "", "")
    params = HyperParameters(epochs=2, learning_rate=1e-3, batch_size=8, threads=1)
    steps = -(-len(dataset.train) // 8)
    first, second = Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        train.train(dataset, str(base), params, tmp_path, [TrackerPlugin(first), Stop()])
    train.train(dataset, str(base), params, tmp_path, [TrackerPlugin(Broken()), TrackerPlugin(second)])

    assert list(first.of("train/batch_loss")) == list(range(1, steps + 2))
    assert list(second.of("train/batch_loss")) == list(range(steps + 1, 2 * steps + 1))  # counts on after a resume
    rates = list((first.of("train/learning_rate") | second.of("train/learning_rate")).values())
    assert rates[0] < max(rates) > rates[-1]  # warm-up, then linear decay
    assert max(rates) <= 1e-3
    whole = ("train/loss", "validation/loss", "validation/accuracy", "validation/macro_f1", "validation/micro_f1")
    for name in whole:
        assert list(first.of(name)) == [steps]
        assert list(second.of(name)) == [2 * steps]
    assert second.of("epoch") == {2 * steps: 2}
    assert capsys.readouterr().err.count("metrics are left out: OSError") == 1
    told = json.dumps(first.lines + second.lines)
    assert not any(row.text in told for row in dataset.train)
