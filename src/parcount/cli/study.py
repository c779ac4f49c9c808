"""``parcount study``: a subcommand for each study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parcount.cli.arguments import (
    DETAILS,
    HTML,
    Refuse,
    add_option,
    check_file,
    check_output,
    check_page,
    missing,
    output_failed,
    positive_seconds,
    save_output,
    table_stream,
    write_page,
)
from parcount.report.output import is_regular
from parcount.studies.core.driver import run_study
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import QUICK_SECONDS, parse_integer, parse_integers
from parcount.studies.core.registry import DEFAULT, STUDIES, find_experiment
from parcount.studies.core.result import Study
from parcount.studies.gil.experiment import file_bytes

ALL = "all"
"""The subcommand that runs every study."""


def with_default(words: Sequence[str]) -> list[str]:
    """Name the default study where ``parcount study`` is followed by an option, or by nothing."""
    if words[:1] == ["study"] and (len(words) == 1 or (words[1][:1] == "-" and words[1] not in ("-h", "--help"))):
        return ["study", DEFAULT, *words[1:]]
    return list(words)


def add_to(commands: Any) -> None:
    """Add ``parcount study`` with a subcommand for each study."""
    study = commands.add_parser(
        "study",
        help="measure threads, processes, counters, I/O, transports or a journal on this machine",
        description="Measures this machine, checks every result for exactness, and ends in a table and a verdict. "
        f"Without a name, {DEFAULT}. Ctrl-C reports what has been measured by then.",
    )
    studies = study.add_subparsers(required=True, metavar="study", title="studies")
    experiments = [find_experiment(name) for name in STUDIES]
    for experiment in experiments:
        own = _add_one_study(studies, experiment.name, experiment.summary, [experiment])
        for option in experiment.parameters:
            add_option(own, option.flag, option.metavar, option.parse, option.help, dest=option.keyword)
    every = _add_one_study(studies, ALL, "each of these studies, one after the other", experiments)
    add_option(every, "--workers", "LIST", parse_integers, "numbers of workers, where a study has them")


def _add_one_study(
    studies: Any, name: str, summary: str, experiments: Sequence[type[Experiment]]
) -> argparse.ArgumentParser:
    """Add a subcommand with the options that all studies have."""
    parser: argparse.ArgumentParser = studies.add_parser(
        name,
        help=summary,
        description=f"Measures {summary}.",
        epilog="LIST: values separated by commas. FILE: '-' is standard output.",
    )
    parser.set_defaults(command=_study, parser=parser, experiments=experiments)
    add_option(parser, "--seed", "N", parse_integer, "seed of data and order; default: 0", default=0)
    duration = parser.add_mutually_exclusive_group()
    usual = "/".join(f"{seconds:.0f}" for seconds in sorted({one.seconds for one in experiments}))
    quick = (
        f"end each study after {QUICK_SECONDS:.0f} seconds rather than {usual}: more is undecided; a study ends "
        "earlier as soon as everything is decided"
    )
    duration.add_argument("--quick", action="store_true", help=quick)
    add_option(duration, "--seconds", "S", positive_seconds, "time after which to end, in all")
    each = "" if len(experiments) == 1 else f"; one for each study: a.json becomes a-{DEFAULT}.json and so on"
    add_option(parser, "--json", "FILE", str, f"write the result: every sample, and the environment{each}")
    add_option(parser, "--plot", "FILE", str, f"draw a figure, PNG or SVG by the extension{each}")
    add_option(parser, "--html", "FILE", str, HTML if len(experiments) == 1 else f"{HTML}: one page for all studies")
    parser.add_argument("--details", action="store_true", help=DETAILS)
    return parser


def _study(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    names = [experiment.name for experiment in words.experiments]
    seconds = QUICK_SECONDS if words.quick else None
    if words.seconds is not None:
        seconds = words.seconds / len(names)
    experiments: list[Experiment] = []
    for experiment in words.experiments:
        given = {option.keyword: getattr(words, option.keyword, None) for option in experiment.parameters}
        try:
            experiments.append(experiment(seed=words.seed, seconds=seconds, **given))
        except ValueError as error:
            refuse(str(error))
    _check_files(refuse, words, names)
    try:
        from parcount.report.terminal import progress_bar

        if words.plot is not None:
            from parcount.report import figure
    except ImportError as error:
        refuse(missing("a study", error))
    if words.plot is not None:
        try:
            figure.image_format(words.plot)
        except ValueError as error:
            refuse(f"argument --plot: {error}")

    code = 0
    measured: list[Study] = []

    def save_page(*, last: bool) -> bool:
        """Write the page of the studies so far, but to a pipe or a device only once."""
        if not measured or not (last or is_regular(words.html or "")):
            return True
        return save_output("study", partial(write_page, studies=measured), words.html)

    for experiment in experiments:
        try:
            with progress_bar(sys.stderr) as progress:
                result = run_study(experiment, progress)
        except OSError as error:
            print(f"parcount study: {error}", file=sys.stderr)
            save_page(last=True)
            return 1
        if not (result.complete or result.measured):  # files from before are worth more than empty ones
            print(f"parcount study {experiment.name}: {result.verdict.sentences[0]}", file=sys.stderr)
            save_page(last=True)
            return 130
        measured.append(result)
        saved = save_output("study", result.save, _file(words.json, experiment.name, names))
        if words.plot is not None:
            draw = partial(figure.save, experiment.draw(result))
            saved &= save_output("study", draw, _file(words.plot, experiment.name, names))
        saved &= save_page(last=experiment is experiments[-1] or not result.complete)
        try:  # after the files; a failure stops neither them nor the next study
            stream = table_stream(words.json, words.plot, words.html)
            experiment.show(result, stream, words.details)
            stream.flush()
        except OSError as error:
            code = output_failed(error)
        if not result.complete:
            return 130
        if not (result.exact and saved):
            code = 1
    return code


def _file(file: str | None, name: str, names: Sequence[str]) -> Path | None:
    """Return where a study's result goes, if it is asked for: of several studies, each to a file that has its name."""
    if file is None:
        return None
    path = Path(file)
    if len(names) <= 1 or not is_regular(file):
        return path
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def _check_files(refuse: Refuse, words: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse files that cannot be read or written before a minute of measuring rather than after it."""
    if (data := getattr(words, "data", None)) is not None:
        check_file(refuse, "--data", data, file_bytes, "read")
    for option, file in (("--json", words.json), ("--plot", words.plot)):
        for name in names if file is not None else ():
            check_output(refuse, option, _file(file, name, names))
    check_page(refuse, words.html)
