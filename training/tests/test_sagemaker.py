"""The training container, without SageMaker and without Docker."""

import errno
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from pytest_httpserver import HTTPServer

import opt_ml
from conftest import WHO, rows, write_rows
from flairstream_training import bundle, cli
from flairstream_training.errors import InputError
from flairstream_training.sagemaker import contract, entry, options

HYPER_PARAMETERS = {
    "name": '"tiny"',  # as the SageMaker SDK writes it
    "model_version": "2.0.0",
    "epochs": "8",
    "learning_rate": "3e-3",
    "batch_size": "8",
    "threads": "1",
    "data_licence": "CC0 1.0",
    "sagemaker_program": '"train.py"',
    "sagemaker_container_log_level": "20",
}


@pytest.fixture(scope="module")
def receiver():
    """Takes the notices that the container sends; gives also what it is to be told."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HTTPServer(host="localhost", ssl_context=context) as server, authority.cert_pem.tempfile() as path:
        server.expect_request("/mail").respond_with_data("", 202)
        server.expect_request("/closed").respond_with_data("", 400)
        yield SimpleNamespace(server=server, authority=path)


@pytest.fixture(scope="module")
def job(tmp_path_factory, base, receiver, forks) -> SimpleNamespace:
    """One job, with a channel for each split, that is interrupted after an epoch and then started again."""
    folder = tmp_path_factory.mktemp("job")
    channels = {"model": base}
    for split, people in {"train": WHO[:4], "validation": WHO[4:5], "test": WHO[5:]}.items():
        channels[split] = folder / split
        channels[split].mkdir()
        write_rows(channels[split] / "part-0.jsonl", rows(people))
    channels["secrets"] = folder / "secrets"
    channels["secrets"].mkdir()
    urls = [
        f"email+https://localhost:{receiver.server.port}/{way}?to=a@example.org&sig=c4nary"
        for way in ("mail", "closed")
    ]
    (channels["secrets"] / "FLAIRSTREAM_NOTIFY").write_text("\n".join(urls))
    home = opt_ml.lay_out(folder / "opt-ml", HYPER_PARAMETERS, channels)
    first = interrupt(home, forks, opt_ml.settings(home, "tiny-job", REQUESTS_CA_BUNDLE=receiver.authority))
    between = {path.name for path in (home / "model").iterdir()}, (home / "output" / "failure").exists()
    second = opt_ml.start(home, "tiny-job", REQUESTS_CA_BUNDLE=receiver.authority)
    return SimpleNamespace(
        home=home, first=first, between=between, log=second.communicate(timeout=120)[0], code=second.returncode
    )


def interrupt(home: Path, forks: ForkServerContext, environment: dict[str, str]) -> SimpleNamespace:
    """Runs the job, which is ended as by a spot interruption once it has a checkpoint."""
    log = home.parent / "first.log"
    process = forks.Process(target=opt_ml.run_interrupted, args=(log, environment))
    process.start()
    process.join(120)
    process.kill()
    return SimpleNamespace(log=log.read_text(), code=process.exitcode)


def test_an_interrupted_job_ends_at_its_checkpoint_and_is_no_failure(job):
    assert job.first.code == 128 + signal.SIGTERM, job.first.log
    assert job.between == (set(), False)


def test_a_job_that_was_interrupted_goes_on_and_hands_over_its_bundle(job):
    assert job.code == 0, job.log
    assert "job tiny-job: resuming" in job.log
    assert "going on after epoch" in job.log
    manifest = bundle.verify(job.home / "model")
    assert (manifest["name"], manifest["version"]) == ("tiny", "2.0.0")
    assert manifest["provenance"]["licences"]["data"] == "CC0 1.0"
    assert not (job.home / "output" / "failure").exists()


def test_a_job_leaves_what_people_look_at(job):
    left = {path.name for path in (job.home / "output" / "data").iterdir()}
    assert left == {
        "report.txt",
        "report.json",
        "hyper_parameters.json",
        "loss.tsv",
        "reference.jsonl",
        "lengths.png",
        "learning_curves.png",
        "confusion.png",
    }


def test_a_job_tells_of_itself_and_its_secrets_stay_secret(job, receiver):
    notices = [request.get_json()["notice"] for request, _ in receiver.server.log if request.path == "/mail"]
    said = [notice["subject"].removeprefix("tiny 2.0.0: training ") for notice in notices]
    assert said == ["started", "stopped", "started", "finished"]
    assert {notice["run"]["name"] for notice in notices} == {"tiny-job"}
    assert len({notice["key"] for notice in notices}) == 1
    assert "c4nary" not in job.first.log + job.log


def test_a_notice_that_is_not_taken_is_in_the_log(job):
    """Flair and others set up logging when they are imported, after the notifier is: its words must come through."""
    for kind in ("training_started", "training_finished"):
        assert f"notice {kind} was not taken by " in job.log


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Lays out a job for this process."""
    before = signal.getsignal(signal.SIGTERM)

    def lay_out(hyper_parameters=(), channels=(), hosts=("algo-1",)) -> Path:
        monkeypatch.setenv("SAGEMAKER_BASE_DIR", f"{tmp_path}/opt-ml")
        return opt_ml.lay_out(tmp_path / "opt-ml", dict(hyper_parameters), dict(channels), hosts)

    yield lay_out
    signal.signal(signal.SIGTERM, before)


def refused(home: Path) -> str:
    """Runs the entry point, which must fail; gives the reason that it leaves."""
    assert cli.main(["sagemaker", "train"]) == 2
    assert list((home / "model").iterdir()) == []
    return (home / "output" / "failure").read_text()


MINIMUM = {"name": "tiny", "base": "some/hub-name"}


@pytest.mark.parametrize(
    ("hyper_parameters", "reason"),
    [
        ({"epoch": "3"}, 'unknown "epoch"'),
        ({"epochs": "many"}, "argument --epochs"),
        ({"pooling": "max"}, "argument --pooling"),
        ({"out": "/tmp"}, "out is not for a job to say"),
        ({"work": "/tmp"}, "work is not for a job to say"),
        ({"help": "true"}, "help is not for a job to say"),
        ({}, "no train and no test rows"),
    ],
)
def test_a_wrong_hyperparameter_is_one_line_in_the_failure_file(home, hyper_parameters, reason):
    here = home({**MINIMUM, **hyper_parameters})
    text = refused(here)
    assert reason in text
    assert "\n" not in text


def test_what_is_missing_is_named(home):
    assert "required: --name, --base" in refused(home())


def test_several_hosts_are_refused(home):
    assert "2 instances; training is done on one" in refused(home(MINIMUM, hosts=("algo-1", "algo-2")))


def test_a_channel_that_is_not_known_is_refused(home, data_folder):
    assert 'unknown channel "trian"' in refused(home(MINIMUM, {"trian": data_folder}))


def test_a_channel_must_have_one_file_of_rows(home, tmp_path):
    for name in ("a.jsonl", "b.csv"):
        (tmp_path / "rows").mkdir(exist_ok=True)
        (tmp_path / "rows" / name).write_text("")
    assert 'channel "train" has 2 files of rows' in refused(home(MINIMUM, {"train": tmp_path / "rows"}))


def test_a_pipe_is_refused(home, data_folder):
    here = home(MINIMUM, {"train": data_folder})
    (here / "input" / "config" / "inputdataconfig.json").write_text('{"train": {"TrainingInputMode": "Pipe"}}')
    assert "use File or FastFile" in refused(here)


def test_a_broken_file_is_named(home):
    here = home()
    (here / "input" / "config" / "hyperparameters.json").write_text("{")
    assert "hyperparameters.json" in refused(here)


def test_a_fault_of_the_program_is_a_failure_without_its_text(home, monkeypatch):
    def fail(*_) -> None:
        raise RuntimeError("my lawn needs mowing")

    here = home(MINIMUM)
    (here / "model" / "half.onnx").write_text("")
    monkeypatch.setattr(options, "of_container", fail)
    with pytest.raises(RuntimeError):
        entry.run()
    assert (here / "output" / "failure").read_text() == "RuntimeError: the log says more"
    assert list((here / "model").iterdir()) == []


def test_what_the_disk_says_is_a_reason(home, monkeypatch):
    def fail(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model/model.onnx")

    here = home(MINIMUM)
    monkeypatch.setattr(options, "of_container", fail)
    assert cli.main(["sagemaker"]) == 1
    assert (here / "output" / "failure").read_text().startswith("no room on the disk (No space left on device)")


def test_a_job_that_does_not_end_by_itself_is_ended_before_sagemaker_kills_it():
    program = """if True:
        import sys, threading
        from flairstream_training.errors import Stopped
        from flairstream_training.sagemaker import entry
        entry.STOP_SECONDS = 0.1
        entry._end_in_time()
        try:
            print("ready", flush=True)
            threading.Event().wait()
        except Stopped:
            threading.Event().wait()  # a tracker that never answers
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.terminate()
            assert process.wait(timeout=60) == 128 + signal.SIGTERM
        finally:
            process.kill()


def test_a_reason_is_as_long_as_sagemaker_shows(tmp_path):
    contract.Container(tmp_path).fail("two\nlines " + "x" * 5000)
    text = (tmp_path / "output" / "failure").read_text()
    assert text.startswith("two lines x")
    assert len(text) == 1024


def test_a_bundle_that_is_not_registered_is_kept_beside_what_people_look_at(
    home, trained, data_folder, base, monkeypatch
):
    from flairstream_training import job

    def fail(*_, **__) -> None:
        raise InputError("mlflow://models/tiny: no answer")

    monkeypatch.setattr(job.registry, "check", lambda _: None)
    monkeypatch.setattr(job.registry, "submit", fail)
    done = {"base": str(base), "epochs": "8", "learning_rate": "3e-3", "batch_size": "8", "graphs": "fp32"}
    here = home({"name": "tiny", **done, "register": "mlflow://models/tiny"}, {"data": data_folder})
    shutil.copytree(trained.work, here / "checkpoints", dirs_exist_ok=True)
    assert "no answer; the bundle is at" in refused(here)
    left = here / "output" / "data"
    assert bundle.verify(left / "bundle")
    assert {"report.txt", "confusion.png"} <= {path.name for path in left.iterdir()}


def test_a_token_of_the_hub_may_stand_in_the_secrets(home, tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "HF_TOKEN").write_text("hf_c4nary\n")
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_TOKEN_FILE", "")
    monkeypatch.delenv("HF_TOKEN_FILE")
    refused(home(MINIMUM, {"secrets": tmp_path / "secrets"}))
    assert os.environ["HF_TOKEN"] == "hf_c4nary"


def test_hyperparameters_are_options_and_back():
    given = ["--epochs", "3", "--learning-rate=5e-5", "--name", "true", "--overwrite", "--notice=a", "--notice", "b c"]
    values = options.to_hyper_parameters([*given, "--data-name", "[1, 2]"])
    assert values["epochs"] == "3"
    assert all(isinstance(value, str) for value in values.values())
    assert options.from_hyper_parameters(json.loads(json.dumps(values))) == [
        "--epochs=3",
        "--learning-rate=5e-5",
        "--name=true",
        "--overwrite",
        "--notice=a",
        "--notice=b c",
        "--data-name=[1, 2]",
    ]


def test_hyperparameters_are_read_as_every_client_writes_them():
    written = {
        "epochs": "3",
        "learning_rate": "5e-05",
        "name": '"a b"',
        "quiet": "true",
        "loud": "false",
        "base": "x/y",
    }
    assert options.from_hyper_parameters({**written, "sagemaker_region": '"eu"', "seed": 7}) == [
        "--epochs=3",
        "--learning-rate=5e-05",
        "--name=a b",
        "--quiet",
        "--base=x/y",
        "--seed=7",
    ]


def test_the_image_only_trains():
    with pytest.raises(SystemExit) as ended:
        cli.main(["sagemaker", "serve"])
    assert ended.value.code == 2
