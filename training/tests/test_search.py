import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hyperopt import Trials, rand
from hyperopt.base import Domain

from flairstream_training import search, space
from flairstream_training.commands import search as command
from flairstream_training.data import Dataset, Row
from flairstream_training.errors import InputError
from flairstream_training.search import outcome, proposer
from flairstream_training.tracking import NoTracker

SPACE = space.parse(
    {
        "learning_rate": {"log_uniform": [1e-5, 1e-3]},
        "batch_size": [8, 16, 32],
        "epochs": {"uniform": [1, 5]},
        "pooling": ["mean", "cls"],
    }
)
SETTINGS = {"base": "good", "seed": 7, "threads": 1, "dropout": 0.0}

# Stands for the training: gives figures made of the hyper-parameters, or does what its base says.
PROGRAM = """
import json, math, os, pathlib, sys, time
request = json.loads(sys.stdin.readline())
p, folder = request["hyper_parameters"], pathlib.Path(request["work"])
with (folder.parent / "ran.txt").open("a") as file:
    file.write(folder.name + "\\n")
(folder / "pid.txt").write_text(str(os.getpid()))
def say(**message):
    print(json.dumps(message), flush=True)
base = p["base"]
if (folder.parent / "hang.txt").exists() and folder.name in (folder.parent / "hang.txt").read_text():
    base = "hangs"
if base == "hangs":
    say(metrics={"train/loss": 1.0}, step=1)
    sys.stdin.read()
    sys.exit(1)
if base == "killed":
    os.kill(os.getpid(), 9)
if base == "meets":
    deadline = time.monotonic() + 30
    while len((folder.parent / "ran.txt").read_text().split()) < 2:
        if time.monotonic() > deadline:
            sys.exit("alone")
        time.sleep(0.01)
if base == "crashes":
    raise RuntimeError("no such device")
if base == "refuses":
    say(failure="base model refuses: want a Hugging Face model folder or a hub name")
    sys.exit()
if base == "silent":
    sys.exit()
(folder / "model.pt").write_text("large")
f1 = 1 - 0.1 * (math.log10(p["learning_rate"]) + 4) ** 2 - 0.05 * (p["batch_size"] != 16) - 0.01 * abs(p["epochs"] - 3)
say(metrics={"train/loss": 0.5}, step=4)
if base == "several":
    say(figures={"macro_f1": f1, "loss": 1 - f1})
    sys.exit()
say(figures={"macro_f1": math.nan if base == "diverges" else f1, "accuracy": f1, "loss": 1 - f1})
"""


class Recorder(NoTracker):
    """Keeps what it is told, of the search and of its trials."""

    def __init__(self) -> None:
        self.values, self.figures, self.children, self.outcome = {}, [], {}, None

    def parameters(self, values):
        self.values.update(values)

    def metrics(self, values, step):
        self.figures.append((dict(values), step))

    def child(self, name):
        self.children[name] = Recorder()
        return self.children[name]

    def finish(self, failure="", stopped=False):  # noqa: ARG002
        self.outcome = failure


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return (sys.executable, "-I", "-S", str(path))


def rows(split: str) -> list[Row]:
    return [Row(f"{split} row of {label}", (label,)) for label in ("a", "b")]


DATASET = Dataset(rows("train"), rows("validation"), rows("test"), rows("reference"))


@pytest.fixture
def plan(tmp_path, program):
    def make(trials: int, parallel: int = 1, work: Path = tmp_path / "work", **settings) -> search.Plan:
        return search.Plan(DATASET, SPACE, SETTINGS | settings, work, trials, parallel, program)

    return make


def until(happened, what: str):
    deadline = time.monotonic() + 30
    while not (found := happened()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def gone(folder: Path) -> bool:
    try:
        os.kill(int((folder / "pid.txt").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_trials_are_run_told_and_kept(plan, tmp_path):
    tracker = Recorder()
    trials = search.run(plan(4), tracker)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    best = search.best(trials)
    assert best.macro_f1 == max(trial.macro_f1 for trial in trials)
    assert list(tracker.children) == ["trial 1", "trial 2", "trial 3", "trial 4"]
    child = tracker.children[best.name]
    assert child.values == best.values
    assert child.figures[0] == ({"train/loss": 0.5}, 4)
    assert child.figures[1][0]["trial/macro_f1"] == best.macro_f1
    assert child.outcome == ""
    assert tracker.figures[-1] == ({"search/best_macro_f1": best.macro_f1}, 4)
    assert sorted(path.name for path in (tmp_path / "work/trials/001").iterdir()) == ["log.txt"]


def test_trials_see_no_test_and_no_reference_rows(plan, tmp_path):
    search.run(plan(1), Recorder())
    seen = "".join(path.read_text() for path in (tmp_path / "work").rglob("*") if path.is_file())
    assert "train row of a" in seen and "validation row of a" in seen
    assert "test row" not in seen and "reference row" not in seen


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("refuses", "base model refuses: want a Hugging Face model folder"),
        ("crashes", "its process ended with exit code 1; see "),
        ("killed", "its process was ended by SIGKILL, perhaps for want of memory"),
        ("diverges", "its figures are not numbers"),
        ("silent", "its process ended without a result"),
    ],
)
def test_a_trial_that_fails_is_recorded_and_does_not_end_the_search(program, tmp_path, base, reason):
    tracker = Recorder()
    both = space.parse(SPACE.record() | {"base": ["good", base]})
    trials = search.run(search.Plan(DATASET, both, SETTINGS, tmp_path / "work", 6, 1, program), tracker)
    failed = [trial for trial in trials if trial.values["base"] == base]
    assert len(trials) == 6 and 0 < len(failed) < 6
    for trial in failed:
        assert reason in trial.failure and trial.macro_f1 is None
        assert reason in tracker.children[trial.name].outcome
    assert search.best(trials).values["base"] == "good"
    again = search.run(search.Plan(DATASET, both, SETTINGS, tmp_path / "work", 6, 1, program), Recorder())
    assert again == trials


def test_all_trials_may_fail(plan):
    trials = search.run(plan(2, base="killed"), Recorder())
    assert len(trials) == 2 and search.best(trials) is None


def test_rows_with_several_labels_have_no_accuracy(plan):
    (trial,) = trials = search.run(plan(1, base="several"), Recorder())
    assert trial.macro_f1 is not None and trial.accuracy is None
    assert outcome.text(plan(1, base="several"), trials).splitlines()[1].split()[3] == "-"


def test_trials_run_at_the_same_time(plan, tmp_path):
    trials = search.run(plan(2, parallel=2, base="meets"), Recorder())  # each waits until the other has begun
    assert [trial.failure for trial in trials] == ["", ""]
    assert not all((tmp_path / f"work/trials/00{i}/pid.txt").exists() for i in (1, 2)), "folders are tidied"


def test_a_killed_search_goes_on_as_if_it_had_never_stopped(plan, tmp_path):
    whole = search.run(plan(12, work=tmp_path / "whole"), Recorder())

    work = tmp_path / "killed"
    (work / "trials").mkdir(parents=True)
    (work / "trials/hang.txt").write_text("010")
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys, test_search as t; t.search_in(*sys.argv[1:])", str(work), *plan(1).program],
        cwd=Path(__file__).parent,
    )
    until((work / "trials/010/pid.txt").exists, "the tenth trial has begun")
    child.kill()
    assert child.wait() == -signal.SIGKILL
    until(lambda: gone(work / "trials/010"), "a trial ends with its search")

    (work / "trials/hang.txt").unlink()
    resumed = search.run(plan(12, work=work), Recorder())
    assert [(t.number, t.values, t.macro_f1) for t in resumed] == [(t.number, t.values, t.macro_f1) for t in whole]
    ran = (work / "trials/ran.txt").read_text().split()
    assert ran == [f"{i:03}" for i in (*range(1, 11), *range(10, 13))]


def search_in(work: str, *program: str) -> None:
    """What the test above kills."""
    search.run(search.Plan(DATASET, SPACE, SETTINGS, Path(work), 12, 1, program), Recorder())


def test_a_stopped_search_stops_its_trials(plan, tmp_path):
    class Stopping(Recorder):
        def child(self, name):
            tracker = super().child(name)
            tracker.metrics = stop
            return tracker

    def stop(*_):
        raise KeyboardInterrupt

    tracker = Stopping()
    with pytest.raises(KeyboardInterrupt):
        search.run(plan(3, parallel=2, base="hangs"), tracker)
    folders = sorted((tmp_path / "work/trials").glob("0*"))
    assert len(folders) == 2
    for folder in folders:
        pid = folder / "pid.txt"
        assert not pid.exists() or gone(folder)
    assert {child.outcome for child in tracker.children.values()} == {"the search was stopped"}
    journal = (tmp_path / "work/search.jsonl").read_text()
    assert "started" in journal and "ended" not in journal


def test_a_search_can_be_made_longer(plan):
    first = search.run(plan(3), Recorder())
    assert search.run(plan(5), Recorder())[:3] == first
    assert [trial.number for trial in search.run(plan(5), Recorder())] == [0, 1, 2, 3, 4]


def test_a_trial_that_hangs_is_ended(plan, monkeypatch):
    monkeypatch.setattr(search, "SILENT_SECONDS", 0.5)
    tracker = Recorder()
    trials = search.run(plan(2, base="hangs"), tracker)
    assert [trial.failure for trial in trials] == ["it hung: nothing came from it for 0 minutes"] * 2
    assert tracker.children["trial 1"].figures == [({"train/loss": 1.0}, 1)]


def test_a_trial_of_which_a_kill_left_its_models_is_tidied(plan, tmp_path):
    search.run(plan(1), Recorder())
    folder = tmp_path / "work/trials/001"
    (folder / "checkpoint").mkdir()
    for left in ("model.pt", "checkpoint/last.pt"):
        (folder / left).write_text("large")
    search.run(plan(1), Recorder())
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt"]


def test_trials_that_are_gone_do_not_end_a_search(plan, tmp_path):
    first = search.run(plan(1), Recorder())
    shutil.rmtree(tmp_path / "work/trials")
    assert search.run(plan(2), Recorder())[:1] == first


@pytest.mark.parametrize(
    ("given", "gpu", "places"),
    [
        ([], False, (8, 1)),
        ([], True, (1, 8)),
        (["--threads", "4"], False, (2, 4)),
        (["--threads", "9"], False, (1, 9)),
        (["--parallel", "2"], False, (2, 4)),
        (["--parallel", "2"], True, (2, 4)),
        (["--trials", "1"], False, (1, 8)),
    ],
)
def test_trials_share_the_cores(given, gpu, places, monkeypatch):
    monkeypatch.setattr(command.arguments, "cores", lambda: 8)
    monkeypatch.setattr(command, "_gpu", lambda: gpu)
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    args = parser.parse_args(["search", "--space", "s.toml", "--name", "n", "--out", "o", *given])
    assert command._places(args) == places


def test_a_torn_line_is_dropped(plan, tmp_path):
    first = search.run(plan(3), Recorder())
    journal = tmp_path / "work/search.jsonl"
    journal.write_text(journal.read_text()[:-5])
    again = search.run(plan(3), Recorder())
    assert [(t.values, t.macro_f1) for t in again] == [(t.values, t.macro_f1) for t in first]
    assert len([json.loads(line) for line in journal.read_text().splitlines()]) == 1 + 3 + 3


def test_another_search_in_the_same_folder_is_refused(plan):
    search.run(plan(1), Recorder())
    differs = r"search\.jsonl is of a search with another settings\.seed and another settings\.dropout; choose another"
    with pytest.raises(InputError, match=differs):
        search.run(plan(1, dropout=0.1, seed=8), Recorder())


def test_the_key_of_the_space_that_differs_is_named(plan, tmp_path, program):
    search.run(plan(1), Recorder())
    other = space.parse(SPACE.record() | {"epochs": [1, 2], "warmup": 0.2})
    with pytest.raises(InputError, match=r"with another space\.epochs and another space\.warmup; choose"):
        search.run(search.Plan(DATASET, other, SETTINGS, tmp_path / "work", 1, 1, program), Recorder())


def test_a_search_may_go_on_with_other_threads(plan):
    first = search.run(plan(1), Recorder())
    assert search.run(plan(2, parallel=2, threads=4), Recorder())[:1] == first


def test_two_searches_at_once_in_the_same_folder_are_refused(plan):
    class Nested(Recorder):
        def child(self, _):
            search.run(plan(1), Recorder())

    with pytest.raises(InputError, match="another search is running in"):
        search.run(plan(1), Nested())


def test_the_real_program_ends_with_its_search(tmp_path):
    os.mkfifo(tmp_path / "train.jsonl")  # nobody ever writes: it waits for its rows
    process = search.Process({"data": str(tmp_path)}, tmp_path / "trial", 1)
    until(lambda: _is_read(tmp_path / "train.jsonl"), "it reads its rows")
    process._process.stdin.close()
    assert process._process.wait(30) == 1
    assert process.said() is None


def _is_read(fifo: Path) -> bool:
    try:
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)  # refused as long as nobody reads; open until the tests end
    except OSError:
        return False
    return True


def test_the_table_has_the_best_first_and_the_failed_last(plan):
    values = {"learning_rate": 4.3e-5, "batch_size": 8, "epochs": 2, "pooling": "mean"}
    trials = [
        search.Trial(0, values, 61.5, failure="lost"),
        search.Trial(1, values, 62.0, 0.91, 0.92, 0.3),
        search.Trial(2, values | {"batch_size": 16}, 60.0, 0.95, 0.96, 0.2),
    ]
    assert outcome.text(plan(3), trials).splitlines() == [
        "trial  macro f1  behind best  accuracy    loss  learning rate  batch size  epochs  pooling  seconds  failure",
        "    3    0.9500       0.0000    0.9600  0.2000        4.3e-05          16       2     mean       60",
        "    2    0.9100       0.0400    0.9200  0.3000        4.3e-05           8       2     mean       62",
        "    1         -            -         -       -        4.3e-05           8       2     mean       62  lost",
    ]
    assert outcome.winner(plan(3), trials) is trials[2]


def test_a_search_without_a_winner_says_why(plan):
    trials = [search.Trial(0, {}, 1.0, failure="no such device"), search.Trial(1, {}, 1.0, failure="out of memory")]
    with pytest.raises(
        InputError, match=r"all trials failed \(2\): no such device \(and 1 other reasons: see .*trials.txt\)"
    ):
        outcome.winner(plan(2), trials)


def score(values: dict) -> float:
    """A made-up surface with one best place."""
    return -(
        (np.log10(values["learning_rate"]) + 4) ** 2
        + 0.3 * (values["batch_size"] != 16)
        + 0.1 * (values["epochs"] - 3) ** 2
        + 0.2 * (values["pooling"] == "cls")
    )


def proposals(seed: int, count: int) -> list[dict]:
    found, one = [], proposer.Proposer(SPACE, seed)
    for number in range(count):
        found.append(one.propose())
        one.ended(number, None if number == 2 else score(found[-1]))
    return found


def test_the_same_seed_gives_the_same_proposals():
    assert proposals(1, 15) == proposals(1, 15) != proposals(2, 15)


def test_proposals_are_better_than_chance():
    def by_chance(seed: int) -> float:
        domain = Domain(None, {p.name: proposer._node(p) for p in SPACE.searched}, pass_expr_memo_ctrl=False)
        drawn = [rand.suggest([i], domain, Trials(), seed * 100 + i)[0]["misc"]["vals"] for i in range(30)]
        return max(score({p.name: proposer._value(p, values[p.name][0]) for p in SPACE.searched}) for values in drawn)

    seeds = range(6)
    ours = [max(map(score, proposals(seed, 30))) for seed in seeds]
    assert np.median(ours) > np.median([by_chance(seed) for seed in seeds]) + 0.05


def test_proposals_lie_in_the_space_and_reach_its_ends():
    found = proposals(3, 60)
    assert {values["epochs"] for values in found} == {1, 2, 3, 4, 5}
    assert all(isinstance(values["epochs"], int) and 1e-5 <= values["learning_rate"] <= 1e-3 for values in found)
    assert {values["batch_size"] for values in found} == {8, 16, 32}
