"""``parcount plan``: where each execution stops paying."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from parcount.cli.arguments import add_option, check_file, check_output, missing, positive_seconds, table_stream
from parcount.studies.core.options import parse_integer, parse_integers


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "plan",
        help="say from measured costs where each execution stops paying, here, on more cores and on clusters",
        description="Measures what the steps of a counting job cost on this machine, and tells from a simple model how "
        "many keys threads, processes and a cluster need to pay, and how many of them are enough. Costs that were "
        "measured elsewhere, or are only supposed, can be given instead.",
        epilog="--cost read.all=200GB/s --cost network.rate=25Gbit/s; the table names all costs. Times take s, ms, us, "
        "ns or ps; rates B/s to TB/s, or Mbit/s to Tbit/s.",
    )
    parser.set_defaults(command=_plan, parser=parser)
    for flag, metavar, parse, text in (
        ("--workload", "NAME", str, "bincount (the default) or tally"),
        ("--dtype", "NAME", str, "of the keys of bincount: int64 by default, or a smaller one"),
        ("--bins", "N", parse_integer, "number of bins: 1024 by default, 256 for tally"),
        ("--size", "N", parse_integer, "number of keys: 100 million by default"),
        ("--workers", "LIST", parse_integers, "numbers of workers to predict: by default all cores here, 16 and 128"),
        ("--nodes", "LIST", parse_integers, "numbers of nodes of a cluster to predict: 10,100,1000 by default"),
        ("--from", "FILE", str, "take the costs from what --json has written"),
        ("--seconds", "S", positive_seconds, "how long to measure: 10 by default"),
        ("--json", "FILE", str, "write the costs and the predictions"),
    ):
        add_option(parser, flag, metavar, parse, text)
    parser.add_argument(
        "--cost", action="append", default=[], metavar="NAME=VALUE", help="take this instead of measuring; repeatable"
    )


def _plan(words: argparse.Namespace) -> int:
    from parcount.costmodel import plan
    from parcount.costmodel.costs import SECONDS as PLAN_SECONDS
    from parcount.costmodel.parameters import parse_assignment

    refuse = words.parser.error
    saved = vars(words)["from"]
    check_output(refuse, "--json", words.json)
    if saved is not None:
        check_file(refuse, "--from", saved, lambda path: Path(path).open("rb").close(), "read")
    try:
        from parcount.costmodel import table
        from parcount.report.terminal import progress_bar
    except ImportError as error:
        refuse(missing("a plan", error))
    options = ("dtype", "bins", "size", "workers", "nodes")
    try:
        with progress_bar(sys.stderr) as progress:
            found = plan(
                words.workload,
                **{name: getattr(words, name) for name in options},
                costs=dict(parse_assignment(text) for text in words.cost),
                saved=saved,
                seconds=words.seconds or PLAN_SECONDS,
                progress=progress,
            )
        if words.json is not None:
            found.save(words.json)
    except ValueError as error:
        refuse(str(error))
    except (OSError, MemoryError) as error:
        print(f"parcount plan: {error}", file=sys.stderr)
        return 1
    table.show(found, table_stream(words.json))
    return 0
