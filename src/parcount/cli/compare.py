"""``parcount compare``: results of one study, side by side."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from parcount.cli.arguments import (
    DETAILS,
    add_option,
    check_output,
    missing,
    read_results,
    table_stream,
)
from parcount.report.output import write_json
from parcount.studies.core.comparison import SCHEMA, compare_results


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "compare",
        help="compare results of one study cell by cell: which are faster, and what differs in the environments",
        description="Compares results with the first of them: the ratio of the rates of each cell that both have, with "
        "its interval, the cells that one of them lacks, and what differs in the environments.",
        epilog="FILE: what parcount study has written with --json or --html.",
    )
    parser.set_defaults(command=_compare, parser=parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="results of the same study; the first is the base")
    parser.add_argument("--details", action="store_true", help=DETAILS)
    add_option(parser, "--json", "FILE", str, "write the comparison; '-' is standard output")


def _compare(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    check_output(refuse, "--json", words.json)
    try:
        from parcount.studies.core import comparison_table
    except ImportError as error:
        refuse(missing("a comparison", error))
    try:
        comparisons = compare_results(read_results(refuse, words.files))
    except ValueError as error:
        refuse(str(error))
    if words.json is not None:
        try:
            write_json(words.json, SCHEMA, {"comparisons": [comparison.content() for comparison in comparisons]})
        except OSError as error:
            print(f"parcount compare: cannot write {words.json}: {error.strerror}", file=sys.stderr)
            return 1
    for comparison in comparisons:
        comparison_table.show(comparison, table_stream(words.json), words.details)
    return 0
