"""Submitting to SageMaker, against moto's server: real HTTP, on this machine.

Where moto differs from AWS, Platform does what AWS would: moto's jobs are "Completed" when they are created, run
nothing, log nothing and make no model, StopTrainingJob is not there, and neither image, role nor quota are looked at.
"""

import contextlib
import datetime
import io
import signal
import sys
import tarfile
import time
from pathlib import Path

import pytest
from botocore.validate import ParamValidator
from moto.moto_api._internal import moto_api_backend
from moto.sagemaker.models import FakeTrainingJob, sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

import opt_ml
from conftest import WHO, rows, write_rows
from flairstream_training import bundle, cli
from flairstream_training.errors import InputError, Stopped
from flairstream_training.sagemaker import aws, contract, follow, options, submit

REGION, ACCOUNT = "eu-west-1", "123456789012"
OUTPUT = "s3://models/support"


@pytest.fixture(scope="module")
def server():
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


@pytest.fixture(scope="module")
def account(server):
    """The environment of somebody with credentials."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": server,
    }


@pytest.fixture(scope="module")
def clients(account):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in account.items():
            patch.setenv(name, value)
        return aws.clients()


class Platform:
    """What AWS does with a training job, step by step and when the test says so."""

    def __init__(self, clients: aws.Clients) -> None:
        self.clients = clients

    def job(self) -> FakeTrainingJob:
        """The one job."""
        (job,) = sagemaker_backends[ACCOUNT][REGION].training_jobs.values()
        return job

    def state(self, status: str, secondary: str, message: str = "") -> None:
        job, now = self.job(), datetime.datetime.now(datetime.UTC)
        job.secondary_status_transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
        job.secondary_status, job.training_job_status = secondary, status

    def log(self, stream: str, *lines: str) -> None:
        logs, stream = self.clients.logs, f"{self.job().training_job_name}/{stream}"
        for create, names in (
            (logs.create_log_group, {"logGroupName": follow.LOG_GROUP}),
            (logs.create_log_stream, {"logGroupName": follow.LOG_GROUP, "logStreamName": stream}),
        ):
            with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
                create(**names)
        now = round(time.time() * 1000)
        events = [{"timestamp": now + place, "message": line} for place, line in enumerate(lines)]
        logs.put_log_events(logGroupName=follow.LOG_GROUP, logStreamName=stream, logEvents=events)

    def prepare(self, base: Path) -> Path:
        """The container's folders, made of what the job was created with and of what is in S3."""
        channels = {}
        for channel in self.job().input_data_config:
            source = aws.place(channel["DataSource"]["S3DataSource"]["S3Uri"], "channel")
            channels[channel["ChannelName"]] = base.parent / channel["ChannelName"]
            for item in self.clients.s3.list_objects_v2(Bucket=source.bucket, Prefix=f"{source.prefix}/")["Contents"]:
                path = channels[channel["ChannelName"]] / item["Key"].removeprefix(f"{source.prefix}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                self.clients.s3.download_file(source.bucket, item["Key"], str(path))
        return opt_ml.lay_out(base, self.job().hyper_parameters, channels)

    def upload(self, model: Path) -> None:
        """What is in the model folder, as model.tar.gz."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            tar.add(model, arcname=".")
        target = aws.place(self.job().model_artifacts["S3ModelArtifacts"], "model")
        self.clients.s3.put_object(Bucket=target.bucket, Key=target.prefix, Body=content.getvalue())


@pytest.fixture
def platform(account, clients, monkeypatch):
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    created = FakeTrainingJob.__init__

    def create(job, *args, **kwargs) -> None:
        created(job, *args, **kwargs)
        job.training_job_status, job.secondary_status = "InProgress", "Starting"
        job.failure_reason = None

    def stop(response: SageMakerResponse) -> str:
        sagemaker_backends[ACCOUNT][REGION].training_jobs[response._get_param("TrainingJobName")].stop_asked = True
        return "{}"

    monkeypatch.setattr(FakeTrainingJob, "__init__", create)
    monkeypatch.setattr(SageMakerResponse, "stop_training_job", stop, raising=False)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    clients.s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield Platform(clients)
    moto_api_backend.reset()


def submit_arguments(data: Path, base: Path, out: Path, *more: str) -> list[str]:
    where = ["--image", "registry/flairstream-training:1", "--role", f"arn:aws:iam::{ACCOUNT}:role/train"]
    what = [
        "--instance",
        "ml.m5.xlarge",
        "--output",
        OUTPUT,
        "--data",
        f"{data}",
        "--base",
        f"{base}",
        "--out",
        f"{out}",
    ]
    train = ["--name", "tiny", "--epochs", "8", "--learning-rate", "3e-3", "--batch-size", "8", "--threads", "1"]
    return ["submit", *where, *what, "--spot", "--tag", "team=support", *more, "--", *train]


def at_each_poll(monkeypatch, *steps) -> None:
    """Lets AWS do a step between the looks of who follows."""
    remaining = iter(steps)
    monkeypatch.setattr(follow.time, "sleep", lambda _: next(remaining, lambda: None)())


def test_a_job_is_submitted_followed_and_its_bundle_fetched(
    platform, trained, data_folder, base, tmp_path, monkeypatch, capsys
):
    def run() -> None:
        """What AWS hands to the container is what train takes, and is all of what was asked."""
        home = contract.Container(platform.prepare(tmp_path / "opt-ml"))
        args = options.parse(options.of_container(home), tmp_path, tmp_path)
        assert (args.name, args.epochs, args.learning_rate) == ("tiny", 8, 3e-3)
        assert (Path(args.data) / "train.jsonl").read_bytes() == (data_folder / "train.jsonl").read_bytes()
        assert (Path(args.base) / "config.json").read_bytes() == (base / "config.json").read_bytes()
        platform.state("InProgress", "Training", "Training image download completed.")
        platform.log("algo-1-1", "epoch 1/2: training loss 1.0986")

    at_each_poll(
        monkeypatch,
        run,
        lambda: platform.state("InProgress", "Interrupted"),
        lambda: platform.log("algo-1-2", "going on after epoch 1 of 2"),
        lambda: (platform.upload(trained.bundle), platform.state("Completed", "Completed")),
        lambda: platform.log("algo-1-2", "the last line, which comes late"),
    )
    out = tmp_path / "bundle"
    assert cli.main(submit_arguments(data_folder, base, out)) == 0
    assert bundle.verify(out) == bundle.verify(trained.bundle)
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:3] == [
        "epoch 1/2: training loss 1.0986",
        "going on after epoch 1 of 2",
        "the last line, which comes late",
    ]
    assert "Interrupted" in printed.err
    job = platform.job()
    assert job.enable_managed_spot_training is True
    assert job.checkpoint_config == {"S3Uri": f"{OUTPUT}/{job.training_job_name}/checkpoints"}
    assert job.stopping_condition == {"MaxRuntimeInSeconds": 86400, "MaxWaitTimeInSeconds": 172800}
    assert job.tags == [{"Key": "team", "Value": "support"}]


def test_a_failed_job_is_told_with_its_reason(platform, data_folder, base, tmp_path, monkeypatch, capsys):
    def fail() -> None:
        platform.job().failure_reason = 'AlgorithmError: unknown "epoch"'
        platform.state("Failed", "Failed")

    at_each_poll(monkeypatch, fail)
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 1
    assert 'Failed: AlgorithmError: unknown "epoch"\n' in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), Stopped(signal.SIGINT)])
def test_ctrl_c_leaves_the_job_and_says_how_to_come_back(
    platform, trained, data_folder, base, tmp_path, monkeypatch, capsys, interrupt
):
    def press() -> None:
        raise interrupt

    at_each_poll(monkeypatch, press)
    out = tmp_path / "bundle"
    with contextlib.suppress(Stopped):
        assert cli.main(submit_arguments(data_folder, base, out)) == 130
    name = platform.job().training_job_name
    assert f"submit --attach {name} --out {out}" in capsys.readouterr().err
    assert platform.job().training_job_status == "InProgress"
    assert not hasattr(platform.job(), "stop_asked")

    platform.upload(trained.bundle)
    platform.state("Completed", "Completed")
    assert cli.main(["submit", "--attach", name, "--out", f"{out}"]) == 0
    assert bundle.verify(out)["name"] == "tiny"


def test_a_job_is_stopped_when_asked(platform, data_folder, base, tmp_path, monkeypatch, capsys):
    at_each_poll(monkeypatch, lambda: platform.state("Stopped", "Stopped"))
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 1
    assert "Stopped" in capsys.readouterr().err
    assert cli.main(["submit", "--attach", platform.job().training_job_name, "--stop"]) == 0
    assert platform.job().stop_asked


def test_a_damaged_model_is_refused_whole(platform, trained, data_folder, base, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in trained.bundle.iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[: -1 if path.name == "golden.jsonl" else None])
    at_each_poll(monkeypatch, lambda: (platform.upload(broken), platform.state("Completed", "Completed")))
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 2
    assert "golden.jsonl" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"broken"}


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [("thesis.txt", ["--overwrite"], "holds no bundle"), ("bundle.json", [], "give --overwrite")],
)
def test_what_came_to_stand_there_since_is_not_written_over(
    platform, trained, data_folder, base, tmp_path, monkeypatch, capsys, name, more, reason
):
    out = tmp_path / "bundle"

    def run() -> None:
        out.mkdir()
        (out / name).write_text("years of work")
        platform.upload(trained.bundle)
        platform.state("Completed", "Completed")

    at_each_poll(monkeypatch, run)
    assert cli.main(submit_arguments(data_folder, base, out, *more)) == 2
    printed = capsys.readouterr().err
    assert reason in printed
    assert f"--out {out}{''.join(f' {option}' for option in more)}" in printed
    assert (out / name).read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [out]


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            member.size = 1 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"x"))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "evil",
    [
        member("../escaped"),
        member("/escaped"),
        member("folder/file"),
        member(".."),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "bundle.json"),
        member("device", tarfile.CHRTYPE),
        member("bundle.json"),  # a second one
    ],
)
def test_an_archive_writes_nothing_but_flat_files(tmp_path, evil):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match=r"model\.tar\.gz"):
        follow.unpack(archive(tmp_path / "model.tar.gz", member("./bundle.json"), evil), folder)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "model.tar.gz"}
    assert {path.name for path in folder.iterdir()} <= {"bundle.json"}


@pytest.mark.parametrize("content", [b"no archive", b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 20])
def test_an_archive_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match="cannot unpack"):
        follow.unpack(tmp_path / "model.tar.gz", tmp_path)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--job-name", "a_b"], 'job name "a_b"'),
        (["--output", "models"], "--output models: want s3://BUCKET/PREFIX"),
        (["--output", "s3://nowhere/x"], "NoSuchBucket"),
        (["--environment", "HF_HUB_OFFLINE"], "want NAME=VALUE"),
        (["--data", "/nowhere"], "no folder /nowhere for the channel data"),
    ],
)
@pytest.mark.usefixtures("platform")
def test_what_cannot_be_is_refused_before_a_job_is_made(data_folder, base, tmp_path, capsys, more, reason):
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle", *more)) == 2
    printed = capsys.readouterr().err.splitlines()
    assert reason in printed[-1]
    assert not sagemaker_backends[ACCOUNT][REGION].training_jobs


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (["--name", "tiny", "--epoch", "3"], 'unknown "epoch"'),
        (["--name", "tiny", "--base", "x/y"], "give --base once"),
        (["--name", "tiny", "--out", "x"], "out is not for a job to say"),
        (["--epochs", "3"], "required: --name"),
        (["3"], "want options of flairstream-train train"),
    ],
)
def test_options_that_train_would_refuse_are_refused_here(data_folder, base, tmp_path, capsys, train, reason):
    arguments = submit_arguments(data_folder, base, tmp_path / "bundle")
    assert cli.main([*arguments[: arguments.index("--") + 1], *train]) == 2
    assert reason in capsys.readouterr().err


def test_aws_without_credentials_or_region_is_one_line(server, data_folder, base, tmp_path, monkeypatch, capsys):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 2
    assert "no region: set AWS_REGION" in capsys.readouterr().err
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 2
    assert "no AWS credentials" in capsys.readouterr().err


def test_what_is_missing_to_stop_a_job_is_one_line(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "boto3"] + ["boto3"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["submit", "--attach", "job", "--stop"]) == 2
    assert "submit needs boto3: pip install" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["nan", "inf", "0", "673", "long"])
def test_hours_are_hours(data_folder, base, tmp_path, capsys, hours):
    with pytest.raises(SystemExit) as ended:
        cli.main(submit_arguments(data_folder, base, tmp_path / "bundle", "--hours", hours))
    assert ended.value.code == 2
    assert "argument --hours" in capsys.readouterr().err


def test_aws_away_is_one_line(data_folder, base, tmp_path, monkeypatch, capsys):
    for name, value in (("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_DEFAULT_REGION", REGION)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert cli.main(submit_arguments(data_folder, base, tmp_path / "bundle")) == 2
    assert "Could not connect" in capsys.readouterr().err.splitlines()[-1]


def test_a_request_is_what_the_api_takes(platform):
    wanted = submit.Submission(
        name="tiny-1",
        image="registry/image:1",
        role=f"arn:aws:iam::{ACCOUNT}:role/train",
        instance="ml.m5.xlarge",
        output=aws.place(OUTPUT, ""),
        hyper_parameters={"epochs": "3"},
        secrets="s3://models/secrets",
        environment={"HF_HUB_OFFLINE": "1"},
        resume="tiny-0",
    )
    request = submit.request(wanted, {"secrets": aws.place(wanted.secrets, "")})
    shape = platform.clients.sagemaker.meta.service_model.operation_model("CreateTrainingJob").input_shape
    assert ParamValidator().validate(request, shape).generate_report() == ""
    assert request["Environment"] == {"HF_HUB_OFFLINE": "1"}
    assert request["CheckpointConfig"] == {"S3Uri": f"{OUTPUT}/tiny-0/checkpoints"}
    assert request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://models/secrets/"


def test_a_jobs_name_is_one_that_sagemaker_takes():
    now = datetime.datetime(2026, 1, 5, 10, 0, 9, tzinfo=datetime.UTC)
    assert submit.job_name("support_topics", "1.2.0+a", now) == "support-topics-1-2-0-a-20260105-100009"
    assert len(submit.job_name("x" * 80, "1", now)) == 62


@pytest.mark.soak
def test_what_is_submitted_is_trained(platform, base, tmp_path, monkeypatch):
    """The whole way: the job that was asked for is run by the container's entry point."""
    data = tmp_path / "data"
    data.mkdir()
    for split, people in {"train": WHO[:4], "validation": WHO[4:5], "test": WHO[5:]}.items():
        write_rows(data / f"{split}.jsonl", rows(people))

    def run() -> None:
        home = platform.prepare(tmp_path / "opt-ml")
        process = opt_ml.start(home, platform.job().training_job_name)
        platform.log("algo-1-1", *filter(None, process.communicate()[0].splitlines()))
        assert process.returncode == 0
        platform.upload(home / "model")
        platform.state("Completed", "Completed")

    at_each_poll(monkeypatch, run)
    assert cli.main(submit_arguments(data, base, tmp_path / "bundle")) == 0
    assert bundle.verify(tmp_path / "bundle")["name"] == "tiny"
