"""Python's own tests of executors, of ours: `python -m unittest tests.execution.pythons_own`.

Some installations of Python have come without them: then they are to be on PYTHONPATH.
"""

import importlib
import multiprocessing
import unittest
from collections.abc import Iterator
from typing import Any

import parcount as pc
from parcount.execution.executor import ExecutionExecutor
from parcount.execution.interpreters import missing

LEFT_OUT = {
    "test_max_workers_negative": "our message speaks of workers, not of max_workers",
    "test_interpreter_shutdown": "it runs a program with an executor of the standard library: see test_executor.py",
    "test_submit_after_interpreter_shutdown": "as test_interpreter_shutdown",
    "test_hang_gh83386": "as test_interpreter_shutdown",
}


def modules() -> Iterator[Any]:
    """Yield the module with the tests, or from Python 3.12 on the modules."""
    try:
        package: Any = importlib.import_module("test.test_concurrent_futures")
    except ImportError:
        package = importlib.import_module("test_concurrent_futures")
    yield package
    if hasattr(package, "__path__"):
        for name in ("util", "executor", "test_wait", "test_as_completed", "test_shutdown", "test_init"):
            yield importlib.import_module(f"{package.__name__}.{name}")


def found(*names: str) -> Any:
    """Return the class that has one of these names."""
    return next(getattr(module, name) for module in modules() for name in names if hasattr(module, name))


class OurThreads(ExecutionExecutor):
    """Threads, made as the tests make a `ThreadPoolExecutor`."""

    def __init__(self, max_workers: int, **options: Any) -> None:
        super().__init__(pc.Threads(max_workers, **options))


class OurProcesses(ExecutionExecutor):
    """Processes, made as the tests make a `ProcessPoolExecutor`."""

    def __init__(self, max_workers: int, mp_context: Any, **options: Any) -> None:
        super().__init__(pc.Processes(max_workers, start_method=mp_context.get_start_method(), **options))


class OurInterpreters(ExecutionExecutor):
    """Interpreters, made as the tests make an `InterpreterPoolExecutor`."""

    def __init__(self, max_workers: int, **options: Any) -> None:
        super().__init__(pc.Interpreters(max_workers, **options))


def tests() -> Iterator[type[unittest.TestCase]]:
    """Yield a class for each suite and kind of executor."""
    suites = {
        "Executor": found("ExecutorTest"),
        "Wait": found("WaitTests"),
        "AsCompleted": found("AsCompletedTests"),
        "Shutdown": found("ExecutorShutdownTest"),
        "Initializer": found("InitializerMixin"),
    }
    kinds = {"Threads": (OurThreads, "ThreadPoolMixin")}
    for method in multiprocessing.get_all_start_methods():
        kinds[method.title()] = OurProcesses, f"ProcessPool{method.title()}Mixin"
    if not missing():
        kinds["Interpreters"] = OurInterpreters, "InterpreterPoolMixin"
    for suite, mixin in suites.items():
        for kind, (executor_type, pool) in kinds.items():
            left_out = {
                name: unittest.skip(reason)(getattr(mixin, name))
                for name, reason in LEFT_OUT.items()
                if hasattr(mixin, name)
            }
            bases = mixin, found(pool), found("BaseTestCase")
            attributes = {"executor_type": executor_type, **left_out, "__module__": __name__}
            yield type(f"{suite}{kind}Test", bases, attributes)


for made in tests():
    globals()[made.__name__] = made
