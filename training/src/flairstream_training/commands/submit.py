"""flairstream-train submit: train on SageMaker, and fetch the bundle."""

import argparse
import datetime
import sys
from pathlib import Path

from .. import bundle
from ..errors import InputError, Stopped
from . import arguments

_DESCRIPTION = """\
Trains on Amazon SageMaker: uploads the data, starts the job, shows its log, and fetches the bundle.

  flairstream-train submit --image IMAGE --role ARN --instance ml.g5.xlarge --output s3://BUCKET/PREFIX \\
    --data FOLDER --out BUNDLE -- --base HUB_NAME --name support-topics --epochs 3
  flairstream-train submit --attach JOB --out BUNDLE

What follows "--" are the options of `flairstream-train train`; they become the job's hyperparameters. Credentials,
region and endpoint are those of the AWS command line (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL). Ctrl-C leaves the job
running. See docs/sagemaker.md.
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "submit",
        help="train on SageMaker",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("--out", type=Path, metavar="FOLDER", help="where to put the bundle")
    command.add_argument("--overwrite", action="store_true", help="replace the bundle that is there")
    command.add_argument("--attach", metavar="JOB", help="follow this job instead of starting one")
    command.add_argument("--stop", action="store_true", help="stop the job of --attach; its checkpoints stay")
    job = command.add_argument_group("a new job")
    job.add_argument("--image", metavar="URI", help="the training image in a registry (training/Dockerfile)")
    job.add_argument("--role", metavar="ARN", help="role that the job runs as")
    job.add_argument("--instance", metavar="TYPE", help="e.g. ml.g5.xlarge")
    job.add_argument("--output", metavar="S3", help="s3://BUCKET/PREFIX for data, checkpoints and model")
    job.add_argument("--data", default="", metavar="PLACE", help="folder or s3:// prefix with the files of rows")
    job.add_argument(
        "--base", default="", metavar="PLACE", help="base model's folder or s3:// prefix; a hub name: -- --base"
    )
    job.add_argument("--secrets", default="", metavar="S3", help="s3:// prefix with a file for each variable")
    job.add_argument("--spot", action="store_true", help="on spare capacity: cheaper, may be interrupted, resumes")
    job.add_argument("--resume", default="", metavar="JOB", help="go on from the checkpoints of a job that ended early")
    job.add_argument("--hours", type=_hours, default=24.0, help="longest time of training (default: 24)")
    job.add_argument("--volume", type=arguments.positive, default=50, metavar="GB", help="disk (default: 50)")
    job.add_argument("--job-name", metavar="NAME", help="default: model's name and version and the time")
    for name, what in (("environment", "variable of the container, no secret"), ("tag", "tag of the job")):
        job.add_argument(
            f"--{name}", action="append", default=[], metavar="NAME=VALUE", help=f"{what}; may be repeated"
        )
    command.add_argument("train", nargs="*", metavar="-- OPTION", help="options of flairstream-train train")


def _hours(text: str) -> float:
    """An argument's hours, as far as SageMaker lets a job run."""
    value = float(text)
    if not 0 < value <= 28 * 24:
        raise argparse.ArgumentTypeError("must be above 0 and at most 672, which is what SageMaker takes")
    return value


def run(args: argparse.Namespace) -> int:
    """Does it."""
    from ..sagemaker import aws, submit

    if args.stop:
        return _stop(args)
    if not args.out:
        raise InputError("--out: name the folder for the bundle")
    bundle.check_target(args.out, args.overwrite)
    wanted = None if args.attach else _submission(args)
    clients = aws.clients()
    if wanted:
        submit.submit(clients, wanted)
        print(f"job {wanted.name} is started", file=sys.stderr)
    manifest = _follow(clients, args.attach or wanted.name, args.out, args.overwrite)
    served = manifest["provenance"]["metrics"]["served"]
    print(f"{args.out}: {manifest['name']} {manifest['version']}, accuracy {served['accuracy']:.2%} on the test rows")
    return 0


def _follow(clients, name: str, out: Path, overwrite: bool) -> dict:
    """The manifest of the bundle that the job made; who leaves before is told how to come back."""
    from ..sagemaker import follow

    again = f"flairstream-train submit --attach {name} --out {out}" + (" --overwrite" if overwrite else "")
    try:
        return follow.fetch(clients, follow.follow(clients, name), out, overwrite)
    except (KeyboardInterrupt, Stopped):
        print(f"\njob {name} goes on. To follow it again: {again}. To stop it: add --stop", file=sys.stderr)
        raise
    except follow.JobFailedError:
        raise
    except InputError as err:
        raise InputError(f"{err}. The job is not touched by this; to follow it again: {again}") from None


def _stop(args: argparse.Namespace) -> int:
    from ..sagemaker import aws

    if not args.attach:
        raise InputError("--stop: name the job with --attach")
    clients = aws.clients()
    with aws.explained(f"stop training job {args.attach}"):
        clients.sagemaker.stop_training_job(TrainingJobName=args.attach)
    print(f"job {args.attach} is stopping; its checkpoints stay")
    return 0


def _submission(args: argparse.Namespace):
    """What to submit, once everything is there and train would take its options."""
    from ..sagemaker import options
    from ..sagemaker.aws import place
    from ..sagemaker.submit import Submission, job_name

    missing = [f"--{name}" for name in ("image", "role", "instance", "output") if not getattr(args, name)]
    if missing:
        raise InputError(f"a new job needs {', '.join(missing)}")
    hyper_parameters = options.to_hyper_parameters(args.train)
    for twice in {"base", "data"}.intersection(hyper_parameters):
        if getattr(args, twice):
            raise InputError(f'give --{twice} once: before "--" for a folder or s3://, after it for a name')
    stand_in = ["--base=the-channel"] if args.base else []
    train = options.parse([*options.from_hyper_parameters(hyper_parameters), *stand_in], args.out, args.out)
    identity = bundle.Identity(train.name, train.model_version)
    return Submission(
        name=args.job_name or job_name(identity.name, identity.version, datetime.datetime.now(datetime.UTC)),
        image=args.image,
        role=args.role,
        instance=args.instance,
        output=place(args.output, "--output"),
        hyper_parameters=hyper_parameters,
        data=args.data,
        base=args.base,
        secrets=args.secrets,
        volume=args.volume,
        longest=round(args.hours * 3600),
        spot=args.spot,
        resume=args.resume,
        environment=_pairs(args.environment, "--environment"),
        tags=_pairs(args.tag, "--tag"),
    )


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise InputError(f"{option} {text}: want NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)
