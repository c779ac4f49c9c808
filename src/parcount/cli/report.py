"""``parcount report``: results as a page, or as the tables that the study printed."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from parcount.cli.arguments import DETAILS, HTML, add_option, check_page, missing, read_results, write_page
from parcount.studies.core.comparison import compare_results
from parcount.studies.core.registry import find_experiment


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report",
        help="show results again, as tables or as an HTML page",
        description="Shows results of studies as they were printed, or with --html as one page. Several results of one "
        "study are also compared with the first of them.",
        epilog="FILE: what parcount study has written with --json or --html; '-' with --html is standard output.",
    )
    parser.set_defaults(command=_report, parser=parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="results of studies")
    parser.add_argument("--details", action="store_true", help=DETAILS)
    add_option(parser, "--html", "FILE", str, HTML)


def _report(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    check_page(refuse, words.html)
    try:
        from parcount.studies.core import comparison_table
    except ImportError as error:
        refuse(missing("a report", error))
    results = read_results(refuse, words.files)
    comparisons = []
    try:
        comparisons = compare_results(results, alone=True)
    except ValueError as error:
        print(f"parcount report: not compared: {error}", file=sys.stderr)
    if words.html is not None:
        try:
            write_page(words.html, [study for _, study in results], comparisons)
        except OSError as error:
            print(f"parcount report: cannot write {words.html}: {error.strerror}", file=sys.stderr)
            return 1
        return 0
    for _, study in results:
        find_experiment(study.name).show(study, sys.stdout, words.details)
    for comparison in comparisons:
        comparison_table.show(comparison, sys.stdout, words.details)
    return 0
