import dataclasses
import json
import os
import resource
import shutil
import signal

import pytest

from conftest import train_arguments
from flairstream_training import bundle, cli, data, gate, notify, report
from flairstream_training.errors import InputError, Stopped
from flairstream_training.hyper_parameters import HyperParameters
from flairstream_training.tracking import NoTracker


class Remembered(NoTracker):
    """A tracker that remembers what it was handed."""

    url, run_id = "http://tracker/run/7", "7"

    def __init__(self) -> None:
        self.got: dict[str, object] = {}
        self.ends: list[str] = []

    def parameters(self, values) -> None:
        self.got["parameters"] = dict(values)

    def metrics(self, values, step: int) -> None:
        self.got.setdefault("metrics", {}).update(dict.fromkeys(values, step))

    def table(self, name, columns, rows) -> None:
        self.got[f"table {name}"] = [list(columns), *map(list, rows)]

    def figure(self, name, figure) -> None:
        self.got[f"figure {name}"] = type(figure).__name__

    def tags(self, values) -> None:
        self.got["tags"] = dict(values)

    def card(self, markdown: str) -> None:
        self.got["card"] = markdown

    def folder(self, name, path) -> None:
        self.got[f"folder {name}"] = sorted(file.name for file in path.iterdir())

    def finish(self, failure: str = "", stopped: bool = False) -> None:
        self.ends.append(failure)
        self.stopped = stopped


class Told(notify.Notifier):
    """A notifier that remembers what was to be told."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[notify.Notice] = []

    def send(self, notice: notify.Notice) -> None:
        self.notices.append(notice)


@pytest.fixture
def make_job(trained, data_folder, base, tmp_path):
    """A job whose training is already done, in a folder of its own."""
    from flairstream_training import export
    from flairstream_training.job import Job

    work = shutil.copytree(trained.work, tmp_path / "work")
    params = HyperParameters(epochs=8, learning_rate=3e-3, batch_size=8)
    request = export.Request(out=tmp_path / "bundle", identity=bundle.Identity("tiny", "1.0.0"), graphs=(bundle.FP32,))
    whole = Job(data.open(str(data_folder)), str(base), params, request, work, Remembered(), Told())
    return lambda **other: dataclasses.replace(whole, **other)


def test_a_job_leaves_a_bundle_and_tells_so(make_job):
    from flairstream_training import job

    whole = make_job()
    result = job.run(whole)
    assert result.manifest["digest"] == bundle.digest(result.bundle)
    assert result.registered is None
    assert json.loads((whole.work / "report.json").read_text()) == json.loads(json.dumps(result.report.record()))
    assert bundle.verify(result.bundle)["provenance"]["data"]["sha256"]["reference"] == whole.dataset.digest(
        "reference"
    )
    assert (whole.work / "reference.jsonl").read_bytes() == whole.dataset.content("reference")

    started, finished = whole.notifier.notices
    assert (started.kind, finished.kind) == ("training_started", "training_finished")
    assert started.started_at == finished.started_at
    assert {notice.run for notice in (started, finished)} == {"7"}
    assert finished.run_url == "http://tracker/run/7"
    assert dict(finished.facts)["Accuracy"].startswith(
        f"{result.manifest['provenance']['metrics']['served']['accuracy']:.2%}"
    )
    assert "Against the champion" not in dict(finished.facts)  # nothing was compared
    assert bundle.made_by(whole.work, result.bundle, whole.request.identity)
    assert not bundle.made_by(whole.work, result.bundle, bundle.Identity("tiny", "1.0.1"))


def test_a_job_is_tracked_from_parameters_to_card(make_job):
    from flairstream_training import job

    whole = make_job()
    result = job.run(whole)
    got = whole.tracker.got
    assert got["parameters"]["learning_rate"] == 3e-3
    assert got["tags"]["digest"] == bundle.digest(result.bundle)
    assert got["card"].startswith("---")
    assert got["folder bundle"] == sorted(file.name for file in result.bundle.iterdir())
    assert [row[0] for row in got["table per_class"]] == ["label", "garden", "kitchen", "travel"]
    assert [sum(row[1:]) for row in got["table confusion"][1:]] == [4, 4, 4]
    assert {"figure confusion", "figure lengths", "figure learning_curves"} <= set(got)
    assert got["metrics"]["test/served/accuracy"] == 8 * 6
    assert whole.tracker.ends == [""]


def test_nothing_tracked_or_told_holds_a_text(make_job):
    from flairstream_training import job

    whole = make_job()
    job.run(whole)
    said = repr(whole.tracker.got) + repr(whole.notifier.notices)
    assert "tiny" in said
    assert not [row.text for split in report.SPLITS for row in getattr(whole.dataset, split) if row.text in said]


def leaky(whole):
    return dataclasses.replace(whole.dataset, test=[*whole.dataset.test, dataclasses.replace(whole.dataset.train[0])])


def test_leaks_stop_it_before_training(make_job):
    from flairstream_training import job

    whole = make_job(dataset=leaky(make_job()))
    with pytest.raises(InputError, match="1 held-out text also in"):
        job.run(whole)
    (failed,) = whole.notifier.notices
    assert (failed.kind, failed.severity) == ("training_failed", "critical")
    assert "--allow leaks" in failed.text
    assert whole.tracker.ends == [failed.text]
    assert not whole.request.out.exists()


def test_leaks_that_are_allowed_do_not(make_job):
    from flairstream_training import job

    assert job.run(make_job(dataset=leaky(make_job()), allow=("leaks",))).report.faults()


@pytest.mark.parametrize(
    ("error", "severity", "said"),
    [
        (InputError("lower the learning rate"), "critical", "lower the learning rate"),
        (
            OSError(28, "No space left on device"),
            "critical",
            "no room on the disk (No space left on device): make room",
        ),
        (OSError(13, "Permission denied", "/disk/file"), "critical", "/disk/file: Permission denied"),
        (ValueError("row: my roses want water"), "critical", "ValueError: the log says more"),
        (Stopped(signal.SIGTERM), "warning", "stopped by SIGTERM; started again with the same arguments, it goes on"),
        (KeyboardInterrupt(), "warning", "stopped from the keyboard; started again"),
    ],
)
def test_whatever_ends_it_early_is_told_and_raised(make_job, monkeypatch, error, severity, said):
    from flairstream_training import job

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(job.train, "train", fail)
    whole = make_job()
    with pytest.raises(type(error)):
        job.run(whole)
    failed = whole.notifier.notices[-1]
    assert (failed.kind, failed.severity) == ("training_failed", severity)
    assert failed.text.startswith(said)
    assert len(whole.tracker.ends) == 1
    assert whole.tracker.stopped == (severity == "warning")
    assert not whole.request.out.exists()


def test_a_tracker_that_keeps_a_stopped_training_does_not_keep_the_notice(make_job, monkeypatch):
    from flairstream_training import job

    class Away(Remembered):
        def finish(self, failure: str = "", stopped: bool = False) -> None:  # noqa: ARG002
            raise SystemExit(failure)  # killed while it waits

    def stop(*_, **__):
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(job.train, "train", stop)
    whole = make_job(tracker=Away())
    with pytest.raises(SystemExit):
        job.run(whole)
    assert whole.notifier.notices[-1].subject == "tiny 1.0.0: training stopped"


def test_a_work_folder_that_cannot_be_made_is_told(make_job, tmp_path):
    from flairstream_training import job

    (tmp_path / "file").write_text("")
    whole = make_job(work=tmp_path / "file" / "work")
    with pytest.raises(NotADirectoryError):
        job.run(whole)
    assert whole.notifier.notices[-1].text.endswith("file/work: Not a directory")
    assert whole.tracker.ends == [whole.notifier.notices[-1].text]


def test_a_start_that_was_not_written_whole_is_written_anew(make_job):
    from flairstream_training import job

    whole = make_job()
    (whole.work / "started").write_text("")
    told = job.begin(whole)
    assert told.started_at == (whole.work / "started").read_text() != ""
    assert job.begin(dataclasses.replace(whole, started_at="earlier")) == told


@pytest.mark.parametrize("fault", [InputError("mlflow://models/tiny: no answer"), ConnectionError("no answer")])
def test_a_bundle_that_cannot_be_registered_is_kept_and_the_way_on_is_told(make_job, monkeypatch, fault):
    from flairstream_training import job

    def fail(*_, **given):
        assert given["started_at"] == whole.notifier.notices[0].started_at
        raise fault

    monkeypatch.setattr(job.registry, "submit", fail)
    whole = make_job(register="mlflow://models/tiny")
    with pytest.raises(InputError, match="no answer; the bundle is at") as failed:
        job.run(whole)
    out = whole.request.out
    assert f"register --bundle {out} --data SOURCE --to mlflow://models/tiny" in str(failed.value)
    assert whole.notifier.notices[-1].text == str(failed.value)
    assert bundle.verify(out)


def test_a_model_whose_figures_are_no_numbers_is_not_registered(make_job, monkeypatch):
    from flairstream_training import job

    metrics = {"served": {"accuracy": float("nan")}}
    monkeypatch.setattr(job, "export", lambda *_: {"digest": "0" * 64, "provenance": {"metrics": metrics}})
    monkeypatch.setattr(job.registry, "submit", lambda *_, **__: pytest.fail("registered"))
    with pytest.raises(InputError, match="not numbers"):
        job.run(make_job(register="mlflow://models/tiny"))


@pytest.mark.parametrize("metrics", [{}, {"served": {"accuracy": float("nan")}}, {"a": [{"b": float("inf")}, 0.5]}])
def test_figures_must_be_numbers(metrics):
    from flairstream_training import job

    with pytest.raises(InputError, match="not numbers"):
        job.refuse_no_numbers({"provenance": {"metrics": metrics}})
    job.refuse_no_numbers({"provenance": {"metrics": {"served": {"accuracy": 0.5, "rows": 3}, "note": None}}})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--data", "nowhere"), "nowhere"),
        (("--track", "mlflow:///nowhere"), "--track"),
        (("--register", "mlflow://nowhere"), "nowhere"),
    ],
)
def test_what_fails_before_the_training_is_told(data_folder, base, tmp_path, monkeypatch, more, said):
    told = Told()
    monkeypatch.setattr(notify, "open", lambda _: told)
    assert cli.main([*train_arguments(data_folder, base, tmp_path / "bundle"), *more]) == 2
    (failed,) = told.notices
    assert (failed.kind, failed.subject) == ("training_failed", "tiny 1.0.0: training failed")
    assert said in failed.text
    assert failed.started_at


def test_a_disk_that_fills_up_at_the_export_leaves_no_half_of_a_bundle(make_job):
    from flairstream_training import job

    whole = make_job()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write the bundle .*File too large"):
            job.run(whole)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert whole.notifier.notices[-1].kind == "training_failed"
    assert [path.name for path in whole.request.out.parent.iterdir()] == ["work"]


def test_a_version_that_the_gate_refuses_is_no_failed_training(make_job, monkeypatch):
    from flairstream_training import job

    rows = [data.Row(str(i), ("a",)) for i in range(30)]
    comparison = gate.compare(rows, ["a", "b"], [("a",)] * 30, [("b",)] * 30)

    def refuse(*_, **__):
        raise gate.RefusedError("worse", comparison)

    monkeypatch.setattr(job.registry, "submit", refuse)
    whole = make_job(register="mlflow://models/tiny")
    with pytest.raises(gate.RefusedError):
        job.run(whole)
    finished = whole.notifier.notices[-1]
    assert finished.kind == "training_finished"
    assert "30 rows lost and 0 won" in dict(finished.facts)["Against the champion"]
    assert whole.tracker.ends == [""]
    assert bundle.verify(whole.request.out)


def test_sigterm_ends_the_command_and_the_same_command_goes_on(data_folder, base, tmp_path, monkeypatch, capsys):
    class Kill(Told):
        def send(self, notice: notify.Notice) -> None:
            super().send(notice)
            if notice.kind == "training_started":
                os.kill(os.getpid(), signal.SIGTERM)

    killing = Kill()
    arguments = train_arguments(data_folder, base, tmp_path / "bundle", "--epochs", "1", "--graphs", "fp32")
    arguments += ["--max-accuracy-loss", "1"]
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(notify, "open", lambda _: killing)
        assert cli.main(arguments) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "flairstream-train: stopped by SIGTERM"
    assert killing.notices[-1].subject == "tiny 1.0.0: training stopped"
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert not (tmp_path / "bundle").exists()
    assert cli.main(arguments) == 0
    assert bundle.verify(tmp_path / "bundle")
    assert (tmp_path / "bundle.work" / "final-model.pt").is_file()
    before = bundle.digest(tmp_path / "bundle")
    assert cli.main(arguments) == 0  # as after a registry that was away
    assert bundle.digest(tmp_path / "bundle") == before
    assert cli.main([*arguments, "--model-version", "1.0.1"]) == 2
    assert "holds a bundle: give --overwrite" in capsys.readouterr().err


def test_more_labels_than_are_listed_are_tracked_without_a_table(make_job):
    from flairstream_training import job

    whole = make_job()
    result = job.run(whole)
    metrics = {**result.manifest["provenance"]["metrics"], "per_class": {}}
    many = {**result.manifest, "provenance": {**result.manifest["provenance"], "metrics": metrics}}
    again = dataclasses.replace(whole, tracker=Remembered())
    job._track(again, many)
    assert "table per_class" not in again.tracker.got
    assert again.tracker.got["tags"]["digest"] == result.manifest["digest"]
