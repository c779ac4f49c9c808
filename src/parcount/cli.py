"""The `parcount` command: words in, a study or the machine's description out.

Exit codes: 0 answered; 1 a count was not exact, or the system failed; 2 the call was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from parcount.kernels import VARIANTS, WORKLOADS
from parcount.studies.plan import EXECUTIONS, QUESTIONS, QUICK_SECONDS, SECONDS, file_bytes


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="parcount", description="Counting on every core, measured.")
    parser.add_argument("--version", action="version", version=f"parcount {version('parcount')}")
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")

    study = commands.add_parser(
        "study",
        help="measure threads against processes against compiled loops on this machine",
        description="gil (the default): how the counting loop scales on this machine, every variant under every "
        "execution, checked for exactness. counters: what each way to count with several workers costs, and what it "
        "loses. Ends in a table and a verdict. Ctrl-C reports what has been measured by then.",
        epilog="Lists are separated by commas: --variants python,cython --workers 1,2,4",
    )
    study.set_defaults(command=_study, parser=study)
    study.add_argument("question", nargs="?", choices=QUESTIONS, default=QUESTIONS[0], help="what to measure")
    study.add_argument(
        "--workload", type=_list, metavar="LIST", help=f"of {', '.join(WORKLOADS)}, or all; tally by default"
    )
    study.add_argument(
        "--variants",
        type=_list,
        metavar="LIST",
        help=f"of {', '.join(VARIANTS)}; all by default. For counters: ways to count, as their table spells them",
    )
    study.add_argument(
        "--executions",
        type=_list,
        metavar="LIST",
        help=f"of {', '.join(EXECUTIONS)}; all by default. Serial always runs: it is the baseline",
    )
    study.add_argument(
        "--workers", type=_integers, metavar="LIST", help="how many at once; 1, 2, … all available cores by default"
    )
    study.add_argument(
        "--size",
        type=_integer,
        metavar="N",
        help="increments in each run; by default as many as each variant does in about a tenth of a second",
    )
    study.add_argument("--data", metavar="FILE", help="count this file's bytes, by the bincount workload")
    study.add_argument("--seed", type=_integer, default=0, metavar="N", help="of the generated data (0)")
    how_long = study.add_mutually_exclusive_group()
    how_long.add_argument(
        "--quick",
        action="store_true",
        help=f"take {QUICK_SECONDS:.0f} seconds rather than {SECONDS:.0f}: wider intervals, more often undecided",
    )
    how_long.add_argument("--seconds", type=_seconds, metavar="S", help="take this long instead")
    study.add_argument("--json", metavar="FILE", help="write the result file: every sample, and the environment")
    study.add_argument("--plot", metavar="FILE", help="draw speedup against workers; PNG or SVG by the extension")

    info = commands.add_parser(
        "info",
        help="what numbers depend on here: cores, GIL, build, threading layer, versions",
        description="Print what numbers depend on: the cores available and why no more, the GIL, the build, Numba's "
        "threading layer, versions.",
    )
    info.set_defaults(command=_info, parser=info)
    info.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _study(words: argparse.Namespace) -> int:
    refuse = words.parser.error
    asked: dict[str, Any] = {
        "variants": words.variants,
        "workers": words.workers,
        "size": words.size,
        "seed": words.seed,
        "seconds": words.seconds or (QUICK_SECONDS if words.quick else SECONDS),
    }
    check: Any
    conduct: Any
    if words.question == "counters":
        for option in ("workload", "executions", "data"):
            if getattr(words, option) is not None:
                refuse(f"argument --{option}: the study of counters has none")
        from parcount.studies import counters

        check, conduct = counters.options, counters.study_counters
    else:
        from parcount import studies

        check, conduct = studies.options, studies.study
        asked |= {
            "workloads": list(WORKLOADS) if words.workload == ["all"] else words.workload,
            "executions": words.executions,
            "data": words.data,
        }
    try:
        check(**asked)
    except ValueError as error:
        refuse(str(error))
    _check_files(refuse, words)
    try:
        from parcount.report.terminal import progress_bar, show

        if words.plot is not None:
            from parcount.report import plot
    except ImportError as error:
        refuse(f"a study needs {error.name}: pip install 'parcount[study]'")
    if words.plot is not None and Path(words.plot).suffix.lower() not in plot.FORMATS:
        refuse(f"argument --plot: a plot is {' or '.join(plot.FORMATS)} by its extension: {words.plot}")

    try:
        with progress_bar(sys.stderr) as progress:
            result = conduct(**asked, progress=progress)
        show(result, sys.stdout)
        if words.json is not None:
            result.save(words.json)
        if words.plot is not None:
            plot.save(result, words.plot)
    except OSError as error:
        print(f"parcount study: {error}", file=sys.stderr)
        return 1
    if not result.complete:
        return 130
    return 0 if result.exact else 1


def _check_files(refuse: Any, words: argparse.Namespace) -> None:
    """Refuse files that cannot be read or written now, rather than after a minute of measuring."""
    if words.data is not None:
        try:
            file_bytes(words.data)
        except OSError as error:
            refuse(f"argument --data: cannot read {words.data}: {error.strerror}")
    for option, name in (("--json", words.json), ("--plot", words.plot)):
        if name is None:
            continue
        path = Path(name)
        existed = path.exists()
        try:
            path.open("ab").close()
        except OSError as error:
            refuse(f"argument {option}: cannot write {name}: {error.strerror}")
        if not existed:
            path.unlink()


def _info(words: argparse.Namespace) -> int:
    from parcount.studies.machine import environment, start_threading_layer

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


def _integer(text: str) -> int:
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


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
    """The entry point: `main`, with Ctrl-C before anything was measured and a closed pipe as shells expect them."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()
        code = 1
    sys.exit(code)
