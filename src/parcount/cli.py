"""The `parcount` command: words in, a study or the machine's description out.

Exit codes: 0 answered; 1 a count was not exact, or the system failed; 2 the call was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn, TextIO

from parcount.kernels import VARIANTS, WORKLOADS
from parcount.report.stream import discard_output, use_ascii_fallbacks
from parcount.studies.core.options import QUICK_SECONDS, SECONDS, how_long
from parcount.studies.core.output import check_writable, is_regular, is_standard_output
from parcount.studies.gil.cells import EXECUTIONS, file_bytes
from parcount.studies.registry import DEFAULT, STUDIES, StudyEntry

ALL = "all"
"""The word for every question, one after the other."""

TO_ALL = ("workers",)
"""Keywords that mean the same to every question that takes them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``parcount``; those of this process by default.

    Returns
    -------
    int
        The exit code.
    """
    parser = _parser()
    words = parser.parse_args(argv)
    return int(words.command(words))


class _Parser(argparse.ArgumentParser):
    """A parser whose help raises OSError where it cannot be written; argparse ignores that."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and (stream := file or sys.stderr) is not None:
            stream.write(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="parcount", description="Counting on every core, measured.")
    parser.add_argument("--version", action="version", version=f"parcount {version('parcount')}")
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")

    study = commands.add_parser(
        "study",
        help="measure threads against processes against compiled loops on this machine",
        description=f"{_summaries()} {ALL}: each of these, one after the other. Every run is checked for exactness. "
        "Ends in a table and a verdict. Ctrl-C reports what has been measured by then.",
        epilog="Lists are separated by commas: --variants python,cython --workers 1,2,4",
    )
    study.add_argument("question", nargs="?", choices=(*STUDIES, ALL), default=DEFAULT, help="what to measure")
    particular = [  # to some questions; their keywords say which
        study.add_argument(
            "--workload",
            dest="workloads",
            type=_workloads,
            metavar="LIST",
            help=f"of {', '.join(WORKLOADS)}, or all; tally by default",
        ),
        study.add_argument(
            "--variants",
            type=_list,
            metavar="LIST",
            help=f"of {', '.join(VARIANTS)}; all by default. For counters and transports: ways, as "
            "their tables spell them",
        ),
        study.add_argument(
            "--executions",
            type=_list,
            metavar="LIST",
            help=f"of {', '.join(EXECUTIONS)}; for io asyncio instead of the last; all that there are here by default. "
            "Serial always runs: it is the baseline",
        ),
        study.add_argument(
            "--workers",
            type=_integers,
            metavar="LIST",
            help="how many at once; 1, 2, … all available cores by default. For io: who fetch; 2, 8, 32 by default",
        ),
        study.add_argument(
            "--size",
            type=_integer,
            metavar="N",
            help="increments in each run; by default as many as each variant does in about a tenth of a second. For "
            "io: pages; for transports: bytes of the largest array",
        ),
        study.add_argument("--data", metavar="FILE", help="count this file's bytes, by the bincount workload"),
        study.add_argument(
            "--delay",
            type=_milliseconds,
            metavar="MS",
            help="for io: milliseconds that the server waits before each answer; 10 by default",
        ),
    ]
    study.set_defaults(command=_study, parser=study, particular=particular)
    study.add_argument("--seed", type=_integer, default=0, metavar="N", help="of the generated data (0)")
    how_long = study.add_mutually_exclusive_group()
    how_long.add_argument(
        "--quick",
        action="store_true",
        help=f"take {QUICK_SECONDS:.0f} seconds for a question rather than {SECONDS:.0f}: wider intervals, more often "
        "undecided",
    )
    how_long.add_argument("--seconds", type=_seconds, metavar="S", help="take this long instead, in all")
    study.add_argument(
        "--json",
        metavar="FILE",
        help=f"write the result file: every sample, and the environment. For {ALL}: one for each question, a.json "
        f"becoming a-{DEFAULT}.json and so on",
    )
    study.add_argument(
        "--plot",
        metavar="FILE",
        help=f"draw the study; PNG or SVG by the extension. For {ALL}: a picture for each question, named likewise",
    )

    plan = commands.add_parser(
        "plan",
        help="say from measured costs where each execution stops paying, here, on more cores and on clusters",
        description="Measures what the steps of a counting job cost on this machine, and tells from a simple model how "
        "many keys threads, processes and a cluster need to pay, and how many of them are enough. Costs that were "
        "measured elsewhere, or are only supposed, can be given instead.",
        epilog="--cost read.all=200GB/s --cost network.rate=25Gbit/s; the table names all costs. Times take s, ms, us, "
        "ns or ps; rates B/s to TB/s, or Mbit/s to Tbit/s.",
    )
    plan.set_defaults(command=_plan, parser=plan)
    plan.add_argument("--workload", metavar="NAME", help="bincount (the default) or tally")
    plan.add_argument("--dtype", metavar="NAME", help="of bincount's keys: int64 by default, or a smaller one")
    plan.add_argument("--bins", type=_integer, metavar="N", help="how many: 1024 by default, 256 for tally")
    plan.add_argument("--size", type=_integer, metavar="N", help="how many keys: 100 million by default")
    plan.add_argument(
        "--workers", type=_integers, metavar="LIST", help="what to predict: by default all cores here, 16 and 128"
    )
    plan.add_argument(
        "--nodes", type=_integers, metavar="LIST", help="of a cluster, to predict: 10,100,1000 by default"
    )
    plan.add_argument(
        "--cost", action="append", default=[], metavar="NAME=VALUE", help="take this instead of measuring; any number"
    )
    plan.add_argument("--from", dest="saved", metavar="FILE", help="take the costs from what --json has written")
    plan.add_argument("--seconds", type=_seconds, metavar="S", help="how long to measure: 10 by default")
    plan.add_argument("--json", metavar="FILE", help="write the costs and the predictions")

    info = commands.add_parser(
        "info",
        help="what numbers depend on here: cores, GIL, build, threading layer, versions",
        description="Print what numbers depend on: the cores available and why no more, the GIL, the build, Numba's "
        "threading layer, versions.",
    )
    info.set_defaults(command=_info, parser=info)
    info.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _summaries() -> str:
    sentences = [f"{question.name}: {question.summary}." for question in STUDIES.values()]
    return " ".join([sentences[0].replace(":", " (the default):", 1), *sentences[1:]])


def _study(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    questions = list(STUDIES.values()) if words.question == ALL else [STUDIES[words.question]]
    calls = [(question, _asked(question, words, len(questions))) for question in questions]
    for question, asked in calls:
        try:
            question.check(**asked)
        except ValueError as error:
            refuse(str(error))
    _check_files(refuse, words, questions)
    try:
        from parcount.report.terminal import progress_bar, show

        if words.plot is not None:
            from parcount.report import figure as plot
    except ImportError as error:
        refuse(f"a study needs {error.name}: pip install 'parcount[study]'")
    if words.plot is not None:
        try:
            plot.image_format(words.plot)
        except ValueError as error:
            refuse(f"argument --plot: {error}")

    code = 0
    for question, asked in calls:
        try:
            with progress_bar(sys.stderr) as progress:
                result = question.ask(**asked, progress=progress)
        except OSError as error:
            print(f"parcount study: {error}", file=sys.stderr)
            return 1
        saved = _save(result.save, words.json, question, questions)
        if words.plot is not None:
            saved &= _save(partial(plot.save, result), words.plot, question, questions)
        if not saved:
            code = 1
        try:  # after the files; a failure stops neither them nor the next study
            stream = _table_stream(words.json, words.plot)
            show(result, stream)
            stream.flush()
        except OSError as error:
            code = _output_failed(error)
        if not result.complete:
            return 130
        if not result.exact:
            code = 1
    return code


def _save(
    save: Callable[[Path], None], name: str | None, question: StudyEntry, questions: Sequence[StudyEntry]
) -> bool:
    """Write a file of a study, if one was asked for; False, after a message, if that fails."""
    try:
        if name is not None:
            save(_file(name, question, questions))
    except OSError as error:
        print(f"parcount study: cannot write {name}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _table_stream(*files: str | None) -> TextIO:
    """Where tables are printed: standard error if a file goes to standard output."""
    return sys.stderr if any(file is not None and is_standard_output(file) for file in files) else sys.stdout


def _asked(question: StudyEntry, words: argparse.Namespace, questions: int) -> dict[str, Any]:
    """The keywords of one of so many questions, from the command's words; what it has no use for is refused."""
    seconds = how_long(words.seconds and words.seconds / questions, words.quick)
    asked: dict[str, Any] = {"seed": words.seed, "seconds": seconds}
    for option in words.particular:
        value = getattr(words, option.dest)
        if questions > 1 and value is not None and option.dest not in TO_ALL:
            words.parser.error(f"argument {option.option_strings[0]}: not for {ALL}: name the question that it is for")
        if option.dest in question.takes:
            asked[option.dest] = value
        elif value is not None and questions == 1:
            words.parser.error(f"argument {option.option_strings[0]}: the study of {question.name} has none")
    return asked


def _file(name: str, question: StudyEntry, questions: Sequence[StudyEntry]) -> Path:
    """Where a question's result goes: of several, each to a file that has its name too."""
    path = Path(name)
    return (
        path
        if len(questions) == 1 or not is_regular(name)
        else path.with_name(f"{path.stem}-{question.name}{path.suffix}")
    )


def _plan(words: argparse.Namespace) -> int:
    from parcount.costmodel import plan
    from parcount.costmodel.costs import SECONDS as PLAN_SECONDS
    from parcount.costmodel.parameters import parse_assignment

    refuse = words.parser.error
    if words.json is not None:
        _check_writable(refuse, "--json", Path(words.json))
    if words.saved is not None:
        try:
            Path(words.saved).open("rb").close()
        except OSError as error:
            refuse(f"argument --from: cannot read {words.saved}: {error.strerror}")
    try:
        from parcount.costmodel import table
        from parcount.report.terminal import progress_bar
    except ImportError as error:
        refuse(f"a plan needs {error.name}: pip install 'parcount[study]'")
    try:
        with progress_bar(sys.stderr) as progress:
            found = plan(
                words.workload,
                dtype=words.dtype,
                bins=words.bins,
                size=words.size,
                workers=words.workers,
                nodes=words.nodes,
                costs=dict(parse_assignment(text) for text in words.cost),
                saved=words.saved,
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
    table.show(found, _table_stream(words.json))
    return 0


def _check_files(refuse: Any, words: argparse.Namespace, questions: Sequence[StudyEntry]) -> None:
    """Refuse files that cannot be read or written now, rather than after a minute of measuring."""
    if words.data is not None:
        try:
            file_bytes(words.data)
        except OSError as error:
            refuse(f"argument --data: cannot read {words.data}: {error.strerror}")
    for option, name in (("--json", words.json), ("--plot", words.plot)):
        for question in questions if name is not None else ():
            _check_writable(refuse, option, _file(name, question, questions))


def _check_writable(refuse: Any, option: str, path: Path) -> None:
    try:
        check_writable(path)
    except OSError as error:
        refuse(f"argument {option}: cannot write {path}: {error.strerror}")


def _info(words: argparse.Namespace) -> int:
    from parcount.studies.core.environment import environment, start_threading_layer

    start_threading_layer()
    found = environment()
    if words.json:
        print(json.dumps(found, indent=1))
        return 0
    cores, python = found["cores"], found["python"]
    gil = "held" if python["gil"] else "none"
    if python["free_threaded"] and python["gil"]:
        gil = "held, on a free-threaded build (PYTHON_GIL=1, or a module asked for it)"
    rows = {
        "cores": f"{cores['available']} available: {cores['reason']}",
        "CPU": found["cpu"],
        "platform": found["platform"],
        "Python": f"{python['version']} ({python['implementation']}, {python['build']}, {python['compiler']})",
        "GIL": gil,
        "compiled by": f"{found['compiler']}, Cython {found['cython']}",
        "Numba's layer": found["threading_layer"] or "none: Numba is not installed",
        "load average": " ".join(f"{load:.2f}" for load in found["load_average"] or []) or "unknown here",
        **{name: number or "not installed" for name, number in found["versions"].items()},
    }
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _workloads(text: str) -> list[str]:
    words = _list(text)
    return list(WORKLOADS) if words == ["all"] else words


def _integer(text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _milliseconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return seconds


def _integers(text: str) -> list[int]:
    return [_integer(word) for word in _list(text)]


def run() -> NoReturn:
    """Run the command for a shell: `main`, with a short message where standard output cannot take what is printed."""
    use_ascii_fallbacks()
    try:
        try:
            code = main()
        except SystemExit as end:  # of argparse, for --help and for wrong arguments
            code = int(end.code or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        code = _output_failed(error)
    sys.exit(code)


def _output_failed(error: OSError) -> int:
    """Say that standard output is full or closed, and write nothing more to it."""
    discard_output()
    with suppress(OSError):
        print(f"parcount: cannot write to standard output: {error.strerror}", file=sys.stderr)
    return 1
