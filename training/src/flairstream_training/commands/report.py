"""flairstream-train report: what the rows look like, before a model is trained on them."""

import argparse
import json

from . import arguments

_DESCRIPTION = """\
Says how many rows and classes there are, how long the texts are and how many are cut, and which texts stand twice, in
train and in held-out rows, or with different labels. Names rows by number, never by text. train says the same first,
and stops at the faults.

exit codes: 0 no faults, or only allowed ones; 2 faults, as train would stop at them.
"""


def add(commands) -> None:
    """Declares the command."""
    command = commands.add_parser(
        "report",
        help="look at the rows",
        description=_DESCRIPTION,
        formatter_class=arguments.Formatter,
    )
    command.set_defaults(run=run)
    command.add_argument(
        "--base", required=True, metavar="MODEL", help="its tokenizer counts: a folder, or a name on the hub"
    )
    command.add_argument("--max-tokens", type=arguments.positive, default=512, help="tokens of a text that count")
    command.add_argument("--json", action="store_true", help="for programs")
    arguments.add_data(command)
    arguments.add_allow(command)


def run(args: argparse.Namespace) -> int:
    """Does it."""
    from .. import base_model, report

    dataset = arguments.dataset(args)
    limit = base_model.limit(args.base, args.max_tokens)
    made = report.make(dataset, base_model.tokenizer(args.base), limit)
    print(json.dumps(made.record(), indent=2, ensure_ascii=False) if args.json else made.text())
    made.check(args.allow)
    return 0
