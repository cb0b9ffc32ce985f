"""flairstream-train search: find good hyper-parameters, then train and export with the best."""

import argparse
from pathlib import Path

from .. import space
from ..errors import InputError
from . import arguments, train

_DESCRIPTION = """\
Tries hyper-parameters, proposed by Hyperopt's TPE, trains with the best, exports the bundle, and registers it where
asked.

  flairstream-train search --space search.toml --trials 20 --data clinc150 --base MODEL --name topics --out bundle

The best is the trial with the highest macro F1 on the validation rows; test rows are first looked at when the best is
exported. What the space names is searched, the rest is as the options below say. Each trial is a process of its own;
one that fails, or says nothing for an hour, does not end the search. With neither --parallel nor --threads there is a
trial of one thread for each core, or one trial alone where there is a GPU; the last training has the threads of all
trials together. WORK/trials.txt and WORK/trials.png
show them all, WORK/trials/NNN/log.txt what each said. A search that was stopped or killed goes on when it is started
again with the same arguments; --trials may grow.
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "search",
        help="search hyper-parameters, then train with the best",
        description=_DESCRIPTION,
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    searching = command.add_argument_group("search")
    searching.add_argument("--space", type=Path, required=True, metavar="FILE", help="what to search, and where: TOML")
    searching.add_argument("--trials", type=arguments.positive, default=20, metavar="N", help="trials in all")
    searching.add_argument(
        "--parallel",
        type=arguments.positive,
        metavar="K",
        help="trials at a time (cores divided by threads when not given; with a GPU 1); each needs the memory of a "
        "training",
    )
    train.add_arguments(command, base_required=False)
    command.set_defaults(threads=None)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    searched = space.load(args.space)
    args.base = _base(args.base, searched)
    parallel, args.threads = _places(args)
    last = train.make_job(args, train.work_folder(args), "search")
    from ..search import winner

    found = winner.train_best(searched, last, args.trials, parallel)
    print(
        f"best of {len(found.trials)} trials: {found.best.name}, macro F1 {found.best.macro_f1:.4f} on validation rows"
    )
    train.report(found.result)
    return 0


def _places(args: argparse.Namespace) -> tuple[int, int]:
    """How many trials run at once, and the threads of each: what is not given takes what cores are left."""
    cores = arguments.cores()
    parallel = args.parallel or (1 if _gpu() else max(1, cores // (args.threads or 1)))
    parallel = min(args.trials, parallel)
    return parallel, args.threads or max(1, cores // parallel)


def _gpu() -> bool:
    import torch  # takes seconds

    return torch.cuda.is_available()


def _base(given: str | None, searched: space.Space) -> str:
    named = next((parameter.values[0] for parameter in searched.parameters if parameter.name == "base"), None)
    if bool(given) == bool(named):
        raise InputError("base: give it either with --base or in the search space" + (", not in both" if given else ""))
    return given or named
