"""The `parcount` command: a module for each subcommand.

Exit codes: 0 answered; 1 a count was not exact, or the system failed; 2 the call was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from parcount.cli.formatter import Formatter
from parcount.report.stream import use_ascii_fallbacks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

COMMANDS = ("study", "scale", "count", "journal", "compare", "report", "plan", "info")
"""The subcommands, each with a module of its name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words after ``parcount``, by default those of this process; return the exit code."""
    words = sys.argv[1:] if argv is None else [*argv]
    parser = _Parser(prog="parcount", description="Counting on every core, measured.", formatter_class=Formatter)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(prog=parser.prog, required=True, metavar="command", title="commands")
    # Only the module of the command that is called: some import what takes longer than `parcount count` counts.
    names = words[:1] if words[:1] and words[0] in COMMANDS else COMMANDS
    for name in names:
        import_module(f"parcount.cli.{name}").add_to(commands)
    if names == ["study"]:
        from parcount.cli.study import with_default

        words = with_default(words)
    parsed, rest = parser.parse_known_args(words)
    if rest:
        # argparse takes one row of positional arguments; GNU tools take them between options too.
        if not hasattr(parsed, "interspersed") or any(word.startswith("-") and word != "-" for word in rest):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        getattr(parsed, parsed.interspersed).extend(rest)
    return int(parsed.command(parsed))


class _Parser(argparse.ArgumentParser):
    """A parser whose help raises OSError where it cannot be written; argparse ignores that."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and (stream := file or sys.stderr) is not None:
            stream.write(message)


class _Version(argparse.Action):
    """As argparse's own, but looks for the version only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], **_: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show program's version number and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        parser._print_message(f"parcount {version('parcount')}\n", sys.stdout)
        parser.exit()


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
        from parcount.cli.arguments import output_failed

        code = output_failed(error)
    sys.exit(code)
