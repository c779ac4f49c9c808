"""The `parcount` command.

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

from parcount.report.output import check_writable, is_regular, is_standard_output
from parcount.report.stream import discard_output, use_ascii_fallbacks
from parcount.studies.core.driver import run_study
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import QUICK_SECONDS, SECONDS, parse_integer, parse_integers, parse_number
from parcount.studies.core.registry import DEFAULT, STUDIES, find_experiment
from parcount.studies.gil.experiment import file_bytes

ALL = "all"
"""The subcommand that runs every study."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words after ``parcount``, by default those of this process; return the exit code."""
    parser = _parser()
    words = parser.parse_args(_with_default_study(sys.argv[1:] if argv is None else argv))
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
    _add_study(commands)

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
    for flag, metavar, parse, text in (
        ("--workload", "NAME", str, "bincount (the default) or tally"),
        ("--dtype", "NAME", str, "of the keys of bincount: int64 by default, or a smaller one"),
        ("--bins", "N", parse_integer, "number of bins: 1024 by default, 256 for tally"),
        ("--size", "N", parse_integer, "number of keys: 100 million by default"),
        ("--workers", "LIST", parse_integers, "numbers of workers to predict: by default all cores here, 16 and 128"),
        ("--nodes", "LIST", parse_integers, "numbers of nodes of a cluster to predict: 10,100,1000 by default"),
        ("--from", "FILE", str, "take the costs from what --json has written"),
        ("--seconds", "S", _positive_seconds, "how long to measure: 10 by default"),
        ("--json", "FILE", str, "write the costs and the predictions"),
    ):
        _add(plan, flag, metavar, parse, text)
    plan.add_argument(
        "--cost", action="append", default=[], metavar="NAME=VALUE", help="take this instead of measuring; repeatable"
    )

    info = commands.add_parser(
        "info",
        help="what numbers depend on here: cores, GIL, build, threading layer, versions",
        description="Print what numbers depend on: the cores available and why no more, the GIL, the build, Numba's "
        "threading layer, versions.",
    )
    info.set_defaults(command=_info, parser=info)
    info.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _with_default_study(words: Sequence[str]) -> list[str]:
    """Name the default study where ``parcount study`` is followed by an option, or by nothing."""
    if words[:1] == ["study"] and (len(words) == 1 or (words[1][:1] == "-" and words[1] not in ("-h", "--help"))):
        return ["study", DEFAULT, *words[1:]]
    return list(words)


def _add_study(commands: Any) -> None:
    """Add ``parcount study`` with a subcommand for each study."""
    study = commands.add_parser(
        "study",
        help="measure threads, processes, counters, I/O or transports on this machine",
        description="Measures this machine, checks every result for exactness, and ends in a table and a verdict. "
        f"Without a name, {DEFAULT}. Ctrl-C reports what has been measured by then.",
    )
    studies = study.add_subparsers(required=True, metavar="study", title="studies")
    experiments = [find_experiment(name) for name in STUDIES]
    for experiment in experiments:
        own = _add_one_study(studies, experiment.name, experiment.summary, [experiment])
        for option in experiment.parameters:
            _add(own, option.flag, option.metavar, option.parse, option.help, dest=option.keyword)
    every = _add_one_study(studies, ALL, "each of these studies, one after the other", experiments)
    _add(every, "--workers", "LIST", parse_integers, "numbers of workers, where a study has them")


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
    _add(parser, "--seed", "N", parse_integer, "seed of data and order; default: 0", default=0)
    duration = parser.add_mutually_exclusive_group()
    quick = (
        f"take {QUICK_SECONDS:.0f} seconds rather than {SECONDS:.0f} for a study: wider intervals, more often undecided"
    )
    duration.add_argument("--quick", action="store_true", help=quick)
    _add(duration, "--seconds", "S", _positive_seconds, "time to take in all")
    each = "" if len(experiments) == 1 else f"; one for each study: a.json becomes a-{DEFAULT}.json and so on"
    _add(parser, "--json", "FILE", str, f"write the result: every sample, and the environment{each}")
    _add(parser, "--plot", "FILE", str, f"draw a figure, PNG or SVG by the extension{each}")
    return parser


def _add(parser: Any, flag: str, metavar: str, parse: Callable[[str], Any], text: str, **more: Any) -> None:
    """Add an option whose parser's ValueError is shown; argparse would replace its message by one of its own."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.add_argument(flag, metavar=metavar, type=parsed, help=text, **more)


def _study(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    names = [experiment.name for experiment in words.experiments]
    seconds = QUICK_SECONDS if words.quick else SECONDS
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
        refuse(f"a study needs {error.name}: pip install 'parcount[study]'")
    if words.plot is not None:
        try:
            figure.image_format(words.plot)
        except ValueError as error:
            refuse(f"argument --plot: {error}")

    code = 0
    for experiment in experiments:
        try:
            with progress_bar(sys.stderr) as progress:
                result = run_study(experiment, progress)
        except OSError as error:
            print(f"parcount study: {error}", file=sys.stderr)
            return 1
        saved = _save(result.save, words.json, experiment.name, names)
        if words.plot is not None:
            saved &= _save(partial(figure.save, experiment.draw(result)), words.plot, experiment.name, names)
        try:  # after the files; a failure stops neither them nor the next study
            stream = _table_stream(words.json, words.plot)
            experiment.show(result, stream)
            stream.flush()
        except OSError as error:
            code = _output_failed(error)
        if not result.complete:
            return 130
        if not (result.exact and saved):
            code = 1
    return code


def _save(save: Callable[[Path], None], file: str | None, name: str, names: Sequence[str]) -> bool:
    """Write a file of a study, if one was asked for; False, after a message, if that fails."""
    try:
        if file is not None:
            save(_file(file, name, names))
    except OSError as error:
        print(f"parcount study: cannot write {file}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _table_stream(*files: str | None) -> TextIO:
    """Where tables are printed: standard error if a file goes to standard output."""
    return sys.stderr if any(file is not None and is_standard_output(file) for file in files) else sys.stdout


def _file(file: str, name: str, names: Sequence[str]) -> Path:
    """Return where a study's result goes: of several studies, each to a file that has its name."""
    path = Path(file)
    if len(names) == 1 or not is_regular(file):
        return path
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def _plan(words: argparse.Namespace) -> int:
    from parcount.costmodel import plan
    from parcount.costmodel.costs import SECONDS as PLAN_SECONDS
    from parcount.costmodel.parameters import parse_assignment

    refuse = words.parser.error
    saved = vars(words)["from"]
    if words.json is not None:
        _check_file(refuse, "--json", words.json, check_writable, "write")
    if saved is not None:
        _check_file(refuse, "--from", saved, lambda path: Path(path).open("rb").close(), "read")
    try:
        from parcount.costmodel import table
        from parcount.report.terminal import progress_bar
    except ImportError as error:
        refuse(f"a plan needs {error.name}: pip install 'parcount[study]'")
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
    table.show(found, _table_stream(words.json))
    return 0


def _check_files(refuse: Any, words: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse files that cannot be read or written before a minute of measuring rather than after it."""
    if (data := getattr(words, "data", None)) is not None:
        _check_file(refuse, "--data", data, file_bytes, "read")
    for option, file in (("--json", words.json), ("--plot", words.plot)):
        for name in names if file is not None else ():
            _check_file(refuse, option, _file(file, name, names), check_writable, "write")


def _check_file(refuse: Any, option: str, path: str | Path, check: Callable[[Any], object], verb: str) -> None:
    try:
        check(path)
    except OSError as error:
        refuse(f"argument {option}: cannot {verb} {path}: {error.strerror}")


def _info(words: argparse.Namespace) -> int:
    from parcount.kernels.info import kernel_info
    from parcount.studies.core.environment import environment, start_threading_layer

    start_threading_layer()
    found = environment()
    if words.json:
        kernels = {name: kernel._asdict() for name, kernel in kernel_info().items()}
        print(json.dumps({**found, "kernels": kernels}, indent=1))
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
        **{f"kernel {name}": kernel.implementation for name, kernel in kernel_info().items()},
        "Numba's layer": found["threading_layer"] or "none: Numba is not installed",
        "load average": " ".join(f"{load:.2f}" for load in found["load_average"] or []) or "unknown here",
        **{name: number or "not installed" for name, number in found["versions"].items()},
    }
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _positive_seconds(text: str) -> float:
    seconds = parse_number(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is not a positive number of seconds")
    return seconds


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
