"""``parcount scale``: what more workers do for a function of the user, and why not more."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

from parcount.cli.arguments import (
    DETAILS,
    HTML,
    add_option,
    check_output,
    check_page,
    missing,
    output_failed,
    positive_seconds,
    save_output,
    table_stream,
    write_page,
)
from parcount.studies.core.driver import run_study
from parcount.studies.core.options import parse_integer, parse_integers, parse_names
from parcount.studies.core.registry import SCALE

EPILOG = """\
TARGET is module:function, file.py:function, or a statement, as timeit takes it:

  parcount scale mypackage.work:parse
  parcount scale script.py:crunch --args '(10, "x")' --workers 1,2,4
  parcount scale -s 'import zlib; data = bytes(10**6)' 'zlib.compress(data)'
  parcount scale --python python3.13,3.13t,3.14 mypackage.work:parse

LIST: values separated by commas. FILE: '-' is standard output.
Exit codes: 0 answered, 1 nothing could be measured, 2 the call was wrong, 130 interrupted.
"""


def add_to(commands: Any) -> None:
    """Add ``parcount scale``."""
    from parcount.studies.scale.experiment import EXECUTIONS, SECONDS, TIMEOUT, ScaleExperiment

    parser = commands.add_parser(
        SCALE,
        help="measure what more workers do for a function of your own, and why not more",
        description=f"Measures {ScaleExperiment.summary}. Ctrl-C reports what has been measured by then.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_scale, parser=parser)
    parser.add_argument("target", metavar="TARGET", help="module:function, file.py:function, or a statement")
    add_option(parser, "--setup", "CODE", str, "run this before, once in each worker, untimed", short="-s")
    add_option(parser, "--args", "EXPRESSION", str, "arguments: a tuple, or the only one, as a Python expression")
    add_option(parser, "--workers", "LIST", parse_integers, "numbers of workers; default: up to all cores")
    add_option(
        parser, "--executions", "LIST", parse_names, f"of {', '.join(EXECUTIONS)}; default: all that are possible"
    )
    add_option(
        parser, "--python", "LIST", parse_names, "commands, versions or paths of Pythons to compare; default: this one"
    )
    parser.add_argument("--shared", action="store_true", help="run the setup once for all threads, not once for each")
    parser.add_argument("--fresh", action="store_true", help="run the setup before each call, untimed")
    parser.add_argument(
        "--share-sweep", action="store_true", help="measure each object shared by all threads and private to each"
    )
    add_option(parser, "--seed", "N", parse_integer, "seed of the order; default: 0", default=0)
    limit = f"time after which to end, if not everything is decided before; default: {SECONDS:.0f} for each Python"
    add_option(parser, "--seconds", "S", positive_seconds, limit)
    add_option(
        parser,
        "--timeout",
        "S",
        positive_seconds,
        f"time after which a call is given up; default: {TIMEOUT:.0f}",
        default=TIMEOUT,
    )
    add_option(parser, "--json", "FILE", str, "write the result: every sample, and the environment")
    add_option(parser, "--plot", "FILE", str, "draw a figure, PNG or SVG by the extension")
    add_option(parser, "--html", "FILE", str, HTML)
    parser.add_argument("--details", action="store_true", help=DETAILS)


def _scale(words: argparse.Namespace) -> int:
    from parcount.studies.scale.experiment import NothingMeasured, ScaleExperiment
    from parcount.studies.scale.runtime import TARGET
    from parcount.studies.scale.target import parse_target

    refuse = words.parser.error
    try:
        experiment = ScaleExperiment(
            parse_target(words.target, words.setup, words.args),
            workers=words.workers,
            executions=words.executions,
            pythons=words.python or (),
            shared=words.shared,
            fresh=words.fresh,
            share_sweep=words.share_sweep,
            seconds=words.seconds,
            timeout=words.timeout,
            seed=words.seed,
        )
    except ValueError as error:
        refuse(str(error))
    check_output(refuse, "--json", words.json)
    check_output(refuse, "--plot", words.plot)
    check_page(refuse, words.html)
    try:
        from parcount.report.terminal import progress_bar

        if words.plot is not None:
            from parcount.report import figure

            figure.image_format(words.plot)
    except ImportError as error:
        refuse(missing("parcount scale", error))
    except ValueError as error:
        refuse(f"argument --plot: {error}")
    try:
        with progress_bar(sys.stderr) as progress:
            result = run_study(experiment, progress)
    except NothingMeasured as error:
        print(f"parcount scale: nothing was measured.\n{error}", file=sys.stderr)
        return 1
    if not any(cell.seconds for cell in result.cells if cell.workload == TARGET):
        reasons = {cell.reason: None for cell in result.cells if cell.workload == TARGET and cell.reason}
        print("\n".join(["parcount scale: nothing was measured.", *map(str, reasons)]), file=sys.stderr)
        return 1 if result.complete else 130
    saved = save_output("scale", result.save, words.json)
    if words.plot is not None:
        saved &= save_output("scale", partial(figure.save, experiment.draw(result)), words.plot)
    saved &= save_output("scale", partial(write_page, studies=[result]), words.html)
    code = 0 if saved else 1
    try:
        stream = table_stream(words.json, words.plot, words.html)
        experiment.show(result, stream, words.details)
        stream.flush()
        tracebacks = [text for python in result.environment["pythons"] for text in python["errors"]]
        for text in dict.fromkeys(tracebacks):
            print(f"\n{text.strip()}", file=sys.stderr)
    except OSError as error:
        code = output_failed(error)
    return code if result.complete else 130
