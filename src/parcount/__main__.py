"""``python -m parcount``: the command."""

from parcount.cli import run

if __name__ == "__main__":
    run()
