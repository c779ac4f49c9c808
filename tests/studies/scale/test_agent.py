import asyncio
import functools
import json
import operator
import os
import platform
import select
import subprocess
import sys
import sysconfig
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from parcount.studies.scale import agent as agent_module
from parcount.studies.scale.agent import clock, compile_loop, global_objects, is_data, private_copies, rebind
from parcount.studies.scale.agent_process import AgentDied, AgentError, AgentProcess
from tests.studies.scale.agents import GIL, SHORT, TIME_LIMIT, Driver, start

KEYS = ("calls", "begun", "ended", "busy", "cpu", "voluntary", "involuntary", "ready", "minor_faults", "major_faults")

EXECUTIONS = ["serial", "threads"] + (["interpreters"] if sys.version_info >= (3, 14) else [])

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts this for each thread")
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork and no signals")


@pytest.fixture(scope="module")
def process() -> Iterator[AgentProcess]:
    """An agent for the tests that leave it usable."""
    yield from start()


@pytest.fixture
def agent(process: AgentProcess, tmp_path: Path) -> Driver:
    return Driver(process, tmp_path)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Driver]:
    """An agent of the test's own, which it may change or end."""
    for process in start():
        yield Driver(process, tmp_path)


# hello


def test_hello(process: AgentProcess) -> None:
    hello = process.hello
    assert hello["version"] == platform.python_version()
    assert hello["implementation"] == "CPython"
    assert hello["free_threaded"] == bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert hello["gil"] == GIL
    assert Path(hello["executable"]).samefile(sys.executable)
    assert hello["parcount"]
    assert hello["interpreters"] == (sys.version_info >= (3, 14))
    assert hello["pid"] == process.pid


def test_unknown_requests(agent: Driver) -> None:
    with pytest.raises(AgentError, match="no such request: 'fly'") as caught:
        agent.process.ask({"do": "fly"}, TIME_LIMIT)
    assert caught.value.type == "ValueError"
    with pytest.raises(AgentError, match="no target is loaded as 'nothing'"):
        agent.run(of="nothing")
    with pytest.raises(AgentError, match="no kind of target"):
        agent.load({"kind": "poem"})
    agent.statement("pass")
    with pytest.raises(AgentError, match="no execution is named 'magic'"):
        agent.run("magic")


def test_the_agent_is_a_script(tmp_path: Path) -> None:
    target = {"kind": "statement", "setup": "", "statement": "print('printed')"}
    requests = [{"do": "load", "target": target}, {"do": "run", "execution": "serial", "seconds": 0}, {"do": "end"}]
    run = subprocess.run(
        [sys.executable, agent_module.__file__],
        input="".join(f"{json.dumps(request)}\n" for request in requests),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=True,
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert [answer["ok"] for answer in answers] == [True] * 3
    assert answers[1]["printed_end"] == "printed\n"
    assert run.stderr == ""


# The loop


def test_loop_calls_so_many_times() -> None:
    calls: list[tuple] = []
    run = compile_loop(lambda *args, **kwargs: calls.append((args, kwargs)), (1, 2), {"c": 3, "not a name": 4}, False)
    run(3)
    assert calls == [((1, 2), {"c": 3, "not a name": 4})] * 3


def test_loop_keeps_no_result() -> None:
    class Result:
        alive = 0

        def __init__(self) -> None:
            Result.alive += 1
            assert Result.alive == 1

        def __del__(self) -> None:
            Result.alive -= 1

    compile_loop(Result, (), {}, False)(5)
    assert Result.alive == 0


def test_loop_awaits() -> None:
    calls = []

    async def call(value: int) -> None:
        calls.append(value)

    asyncio.run(compile_loop(call, (7,), {}, True)(3))
    assert calls == [7, 7, 7]


# Kinds of targets


def test_statement(agent: Driver) -> None:
    loaded = agent.statement("total += len(data)", "data = [1, 2]\ntotal = 0\nimport math")
    assert loaded["names"] == ["data"]
    assert not loaded["coroutine"]
    assert agent.run("threads", 2)["calls"] > [0, 0]


def test_statement_of_several_lines(agent: Driver) -> None:
    agent.statement(
        '''
        if not calls:
            text = """
        not indented"""
        calls.append(text)
        print(len(calls), repr(text))
        ''',
        """
        calls = []
        def unused():
            return calls
        """,
    )
    assert agent.run(seconds=0)["printed_end"] == "1 '\\nnot indented'\n"
    assert agent.run(seconds=0)["printed_end"] == "2 '\\nnot indented'\n"


def test_each_worker_has_a_namespace_that_persists(agent: Driver) -> None:
    agent.statement("calls.append(0); print(len(calls))", "calls = []")
    assert agent.printed("threads", 2) == ["1", "1"]
    assert agent.printed("threads", 1) == ["2"]
    assert agent.printed("threads", 3) == ["1", "2", "3"]


def test_shared_statement(agent: Driver) -> None:
    setup = "import threading; lock = threading.Lock(); calls = []; print('setup')"
    agent.statement("with lock: calls.append(0); print(len(calls))", setup, shared=True)
    assert agent.printed("threads", 2) == ["1", "2"]
    assert agent.printed("threads", 2, private_names=["calls"]) == ["3", "3"]


def test_shared_names_of_a_statement(agent: Driver) -> None:
    setup = "import threading; lock = threading.Lock(); a = []; b = []"
    loaded = agent.statement("with lock: a.append(0); b.append(0); print(len(a), len(b))", setup)
    assert loaded["names"] == ["a", "b", "lock"]
    assert agent.printed("threads", 2, shared_names=["b", "lock"]) == ["1", "1", "1", "2"]


def test_functions_of_a_setup_use_the_shared_object(agent: Driver) -> None:
    agent.statement("f()", "a = []\ndef f():\n    a.append(0)\n    print(len(a))")
    assert agent.printed("threads", 2) == ["1", "1"]
    assert agent.printed("threads", 2, shared_names=["a"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("statement", "setup", "where"),
    [("1 +", "", "statement"), ("pass", "x y", "setup"), ("return", "", "statement"), ("yield", "", "statement")],
)
def test_statement_that_is_none(agent: Driver, statement: str, setup: str, where: str) -> None:
    with pytest.raises(AgentError) as caught:
        agent.statement(statement, setup)
    assert caught.value.type == "SyntaxError"
    assert caught.value.where == where


def test_import(agent: Driver) -> None:
    package = agent.folder / "package_of_a_target"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "work.py").write_text("class A:\n    @staticmethod\n    def f(n, m): print(n, m)\n")
    target = {"kind": "import", "module": "package_of_a_target.work", "name": "A.f", "args": "(k, 2)", "setup": "k = 5"}
    agent.load(target, path=[str(agent.folder)])
    assert agent.run(seconds=0)["printed_end"] == "5 2\n"


def test_file_is_a_module_of_its_name(agent: Driver) -> None:
    (agent.folder / "beside_the_target.py").write_text("value = 3")
    agent.file(
        """
        import sys, beside_the_target
        def f(): print(__name__, sys.modules[__name__].f is f, beside_the_target.value)
        if __name__ == "__main__":
            raise SystemExit("this is no script")
        """
    )
    assert agent.run(seconds=0)["printed_end"].split()[1:] == ["True", "3"]


def test_file_named_like_another_module(agent: Driver) -> None:
    path = agent.folder / "random.py"
    path.write_text("def f(): print(__name__)")
    agent.load({"kind": "file", "path": str(path), "name": "f"})
    assert agent.run(seconds=0)["printed_end"] == "random_script\n"


def test_arguments_that_are_no_tuple(agent: Driver) -> None:
    agent.file("def f(data): print(data)", args="[1, 2]")
    assert agent.run(seconds=0)["printed_end"] == "[1, 2]\n"


def test_setup_sees_the_names_of_the_module(agent: Driver) -> None:
    agent.file("def make(n): return [n]\ndef f(data): print(data)", args="a", setup="a = make(4)")
    assert agent.run(seconds=0)["printed_end"] == "[4]\n"


def test_each_worker_has_arguments(agent: Driver) -> None:
    source = "def f(a, n): a.append(0); print(len(a))"
    loaded = agent.file(source, args="[], 5")
    assert loaded["names"] == ["args[0]"]
    assert agent.printed("threads", 2) == ["1", "1"]
    assert agent.printed("threads", 2, shared_names=["args[0]"]) == ["1", "2"]
    agent.file(source, args="[], 5", shared=True)
    assert agent.printed("threads", 2) == ["1", "2"]
    assert agent.printed("threads", 2, private_names=["args[0]"]) == ["3", "3"]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (time.monotonic, ()),
        (functools.partial(operator.add, 1), (2,)),
        ("text".upper, ()),
        (Path, ("a",)),
        (operator.itemgetter(0), ([1],)),
    ],
    ids=["function", "partial", "method", "class", "callable"],
)
def test_pickled(agent: Driver, function: object, args: tuple) -> None:
    agent.pickled(function, *args)
    assert agent.run("threads", 2)["calls"] > [0, 0]


def test_pickled_with_setup(agent: Driver) -> None:
    agent.pickled(print, "x", setup=functools.partial(sorted, "ba"), sep="-")
    assert agent.run(seconds=0)["printed_end"] == "['a', 'b']\n"
    agent.pickled(print, 1, 2, setup=functools.partial({}.get, 1), sep="-")
    assert agent.run(seconds=0)["printed_end"] == "1-2\n"


def test_pickle_that_cannot_be_loaded(agent: Driver) -> None:
    with pytest.raises(AgentError) as caught:
        agent.load({"kind": "pickle", "data": "Y25vX3N1Y2hfbW9kdWxlCmYKLg=="})
    assert caught.value.type == "ModuleNotFoundError"


@pytest.mark.parametrize("name", ["released", "held", "memory"])
def test_controls(agent: Driver, name: str) -> None:
    loaded = agent.load({"kind": "control", "name": name, "bytes": 1 << 20})
    assert loaded["names"] == []
    assert agent.calibrate()["call"] > 0
    assert len(agent.run("threads", 2)["calls"]) == 2


def test_controls_without_parcount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parcount._native.tally", None)
    instance = agent_module.Agent()
    for name in ("released", "held"):
        assert instance.answer({"do": "load", "as": name, "target": {"kind": "control", "name": name}})["ok"]
        answer = instance.answer({"do": "run", "of": name, "execution": "threads", "workers": 2, "seconds": 0})
        assert answer["calls"] == [1, 1]
    answer = instance.answer({"do": "load", "target": {"kind": "control", "name": "memory"}})
    assert answer["error"]["type"] == "NotImplementedError"


def test_several_targets(agent: Driver) -> None:
    agent.statement("print('one')", **{"as": "one"})
    agent.statement("print('two')", **{"as": "two"})
    assert agent.run(of="one", seconds=0)["printed_end"] == "one\n"
    assert agent.run("threads", of="two", seconds=0)["printed_end"] == "two\n"


def test_versions_of_what_the_target_imports(own: Driver) -> None:
    import numpy as np

    assert own.statement("np.ones(3)", "import numpy as np")["versions"]["numpy"] == np.__version__


# Targets that cannot be loaded


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("def ff(): pass", "AttributeError", "has no attribute 'f'; did you mean 'ff'?"),
        ("f = 5", "TypeError", "5 is not callable"),
        ("def f(a, b=1): pass", "TypeError", "missing a required argument: 'a'; give them with --args"),
        ("def f(): yield", "TypeError", "f is a generator function: calling it runs nothing"),
        ("async def f(): yield", "TypeError", "f is an asynchronous generator function: calling it runs nothing"),
        ("import functools\n@functools.partial\ndef f(): yield", "TypeError", "generator function"),
        ("import no_such_module_of_ours", "ModuleNotFoundError", "no_such_module_of_ours"),
        ("1/0", "ZeroDivisionError", "division by zero"),
        ("raise SystemExit(3)", "SystemExit", "the function ended its process: sys.exit(3)"),
        ("def f(:", "SyntaxError", "invalid syntax"),
    ],
)
def test_functions_that_cannot_be_loaded(agent: Driver, source: str, kind: str, message: str) -> None:
    with pytest.raises(AgentError) as caught:
        agent.file(source)
    assert caught.value.type == kind
    assert message in caught.value.message
    assert caught.value.where == "load"


def test_file_that_does_not_exist(agent: Driver) -> None:
    with pytest.raises(AgentError, match=r"no such file: .*nothing\.py"):
        agent.load({"kind": "file", "path": "nothing.py", "name": "f"})


def test_arguments_that_do_not_fit(agent: Driver) -> None:
    with pytest.raises(AgentError, match="f cannot be called with these arguments: too many positional arguments"):
        agent.file("def f(): pass", args="(1,)")
    with pytest.raises(AgentError) as caught:
        agent.file("def f(a): pass", args="1/0")
    assert (caught.value.type, caught.value.where) == ("ZeroDivisionError", "--args")
    with pytest.raises(AgentError) as caught:
        agent.file("def f(a): pass", args="1", setup="1/0")
    assert (caught.value.type, caught.value.where) == ("ZeroDivisionError", "setup")


def test_target_that_is_not_loaded_cannot_run(agent: Driver) -> None:
    agent.statement("pass")
    with pytest.raises(AgentError, match="division by zero"):
        agent.statement("pass", "1 / 0")
    with pytest.raises(AgentError, match="no target is loaded"):
        agent.run()


def test_traceback_is_of_the_target(agent: Driver) -> None:
    agent.file("def g(): raise ValueError('bad')\ndef f(): g()")
    with pytest.raises(AgentError) as caught:
        agent.calibrate()
    assert caught.value.where == "first call"
    assert caught.value.traceback.splitlines()[1].endswith("line 2, in f")
    assert "agent.py" not in caught.value.traceback
    agent.statement("y = 1\nx / 0", "x = 1")
    with pytest.raises(AgentError) as caught:
        agent.calibrate()
    assert "x / 0" in caught.value.traceback


# Runs


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("workers", [1, 3])
def test_run(agent: Driver, execution: str, workers: int) -> None:
    if execution == "serial":
        workers = 1
    agent.statement("sum(range(100))")
    agent.process.ask({"do": "prepare", "execution": execution, "workers": workers}, TIME_LIMIT)
    at = clock() + 0.3
    answer = agent.run(execution, workers, batch=10, at=at)
    assert all(len(answer[key]) == workers for key in KEYS)
    for calls, begun, ended, busy in zip(*(answer[key] for key in KEYS[:4]), strict=True):
        assert calls >= 10
        assert calls % 10 == 0
        assert ended >= begun >= at or answer["late"]
        assert ended >= at + SHORT
        assert busy == pytest.approx(ended - begun)
    assert answer["process_cpu"] >= 0
    assert answer["gil"] is None


@linux
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_evidence_on_linux(agent: Driver, execution: str) -> None:
    agent.statement("sum(range(1000)); time.sleep(0)", "import time")
    answer = agent.run(execution, 1)
    assert answer["cpu"][0] > 0
    assert answer["ready"][0] is None or answer["ready"][0] >= 0  # a kernel without schedstat
    assert all(isinstance(answer[key][0], int) for key in ("voluntary", "involuntary", "minor_faults", "major_faults"))
    assert answer["memory"] > 0
    assert answer["memory_before"] > 0


@linux
def test_faults_are_counted(agent: Driver) -> None:
    agent.statement("bytearray(1 << 26)")
    assert agent.run()["minor_faults"][0] > 0


def test_a_run_makes_at_least_one_batch(agent: Driver) -> None:
    agent.statement("pass")
    assert agent.run("threads", 2, seconds=0, batch=7)["calls"] == [7, 7]


def test_a_start_that_has_passed(agent: Driver) -> None:
    agent.statement("pass")
    at = clock() - 1
    answer = agent.run(at=at)
    assert answer["late"] >= 1
    assert answer["ended"][0] - answer["begun"][0] >= SHORT / 2


def test_statement_is_fresh_before_each_call(agent: Driver) -> None:
    agent.statement("data.append(0); print(len(data))", "data = []; import time; time.sleep(0.01)", fresh=True)
    answer = agent.run("threads", 2, batch=10, seconds=0.05)
    assert set(answer["printed_end"]) == {"1", "\n"}
    assert all(
        busy < ended - begun - 0.01 for begun, ended, busy in zip(*(answer[key] for key in KEYS[1:4]), strict=True)
    )
    assert agent.calibrate()["batch"] == 1


def test_function_is_fresh_before_each_call(agent: Driver) -> None:
    agent.file("def f(data): data.append(0); print(len(data))", args="[]", fresh=True)
    assert set(agent.run("threads", 2, batch=10)["printed_end"]) == {"1", "\n"}


def test_fresh_coroutine(agent: Driver) -> None:
    agent.file("async def f(data): data.append(0); print(len(data))", args="[]", fresh=True)
    for execution in ("serial", "threads", "asyncio"):
        assert set(agent.run(execution, 1, batch=10)["printed_end"].split()) == {"1"}


def test_setup_and_calls_of_a_worker_are_in_one_thread(agent: Driver) -> None:
    agent.statement("db.execute('select 1')", "import sqlite3; db = sqlite3.connect(':memory:')")
    assert len(agent.run("threads", 2)["calls"]) == 2
    assert len(agent.run("serial")["calls"]) == 1


# Coroutine functions


@pytest.mark.parametrize("execution", ["serial", "threads", "asyncio"])
def test_coroutine_function(agent: Driver, execution: str) -> None:
    loaded = agent.file("import asyncio\nasync def f(): await asyncio.sleep(0)")
    assert loaded["coroutine"]
    assert agent.calibrate()["call"] > 0
    workers = 1 if execution == "serial" else 3
    answer = agent.run(execution, workers)
    assert len(answer["calls"]) == workers
    assert min(answer["calls"]) > 0


def test_tasks_run_concurrently(agent: Driver) -> None:
    # Each waits for the other: one alone would wait for ever.
    agent.file(
        """
        import asyncio
        meeting = []
        async def f():
            if not meeting:
                meeting.append(asyncio.get_running_loop().create_future())
                await meeting[0]
            elif not meeting[0].done():
                meeting[0].set_result(None)
        """
    )
    assert agent.run("asyncio", 2, seconds=0)["calls"] == [1, 1]


def test_tasks_that_never_yield(agent: Driver) -> None:
    agent.file("async def f(): pass")
    assert min(agent.run("asyncio", 3)["calls"]) > 0


def test_coroutine_functions_in_other_clothes(agent: Driver) -> None:
    source = """
        import functools
        async def g(n): pass
        class C:
            async def __call__(self): pass
        f, c = functools.partial(g, 1), C()
        """
    assert agent.file(source)["coroutine"]
    assert agent.file(source, name="c")["coroutine"]
    assert not agent.file(source, name="C")["coroutine"]


def test_asyncio_needs_a_coroutine_function(agent: Driver) -> None:
    agent.file("def f(): pass")
    with pytest.raises(AgentError, match="asyncio runs coroutine functions only, and f is none"):
        agent.run("asyncio", 2)


def test_task_that_raises(agent: Driver) -> None:
    agent.file("import itertools\nn = itertools.count()\nasync def f():\n    if next(n) == 1: raise KeyboardInterrupt")
    with pytest.raises(AgentError) as caught:
        agent.run("asyncio", 3, seconds=0)
    assert (caught.value.type, caught.value.where) == ("KeyboardInterrupt", "worker 2 of 3 on asyncio")


def test_coroutine_that_raises_what_ends_event_loops(agent: Driver) -> None:
    for raised in ("SystemExit", "KeyboardInterrupt", "asyncio.CancelledError"):
        agent.file(f"import asyncio\nasync def f(): raise {raised}")
        for _ in range(2):
            with pytest.raises(AgentError) as caught:
                agent.calibrate()
            assert caught.value.type == raised.rpartition(".")[2]
            with pytest.raises(AgentError):
                agent.run("threads", 2)


def test_function_that_returns_a_coroutine(agent: Driver) -> None:
    agent.file("async def g(): pass\ndef f(): return g()")
    with pytest.raises(AgentError, match="f returns a coroutine, which nothing awaits"):
        agent.calibrate()


def test_function_that_returns_a_generator(agent: Driver) -> None:
    agent.file("def f(): return (i for i in range(9))")
    with pytest.raises(AgentError, match="f returns a generator, which nothing runs"):
        agent.calibrate()


# Interpreters


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="has them")
def test_interpreters_need_a_newer_python(agent: Driver) -> None:
    agent.statement("pass")
    with pytest.raises(AgentError, match=r"interpreters require CPython 3\.14 or newer; this is"):
        agent.run("interpreters", 2)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="has none")
class TestInterpreters:
    def test_each_has_a_namespace_that_persists(self, agent: Driver) -> None:
        agent.file("n = []\ndef f(): n.append(0); print(f'{len(n)}\\n', end='', flush=True)")
        agent.run("interpreters", 2, seconds=0)
        assert agent.run("interpreters", 2, seconds=0)["printed_end"] == "2\n2\n"

    def test_module_that_does_not_load(self, agent: Driver) -> None:
        agent.statement("pass", "import faulthandler")
        with pytest.raises(AgentError, match="module faulthandler does not support loading in sub") as caught:
            agent.run("interpreters", 2)
        assert caught.value.type == "ImportError"
        assert caught.value.where == "worker 1 of 2 on interpreters"

    def test_error(self, agent: Driver) -> None:
        agent.statement("1 / 0")
        with pytest.raises(AgentError) as caught:
            agent.run("interpreters", 2)
        assert (caught.value.type, caught.value.where) == ("ZeroDivisionError", "worker 1 of 2 on interpreters")
        assert "1 / 0" in caught.value.traceback

    def test_target_that_is_loaded_again(self, agent: Driver) -> None:
        for text in "ab":
            agent.statement(f"print({text!r}, flush=True)")
            assert agent.run("interpreters", seconds=0)["printed_end"] == f"{text}\n"


# What functions do


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        ("raise ValueError('bad')", "ValueError", "bad"),
        ("raise SystemExit(2)", "SystemExit", "the function ended its process: sys.exit(2)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit", "GeneratorExit"),
        ("raise StopIteration", "StopIteration", "StopIteration"),
        ("f()", "RecursionError", "maximum recursion depth exceeded"),
        ("raise Unprintable", "Unprintable", "<unprintable Unprintable>"),
    ],
)
@pytest.mark.parametrize("execution", ["serial", "threads"])
def test_function_that_raises(agent: Driver, raised: str, kind: str, message: str, execution: str) -> None:
    agent.file(
        f"""
        class Unprintable(Exception):
            def __str__(self): raise SystemExit
        bad = False
        def f():
            if bad:
                {raised}
        def turn():
            global bad
            bad = True
        """
    )
    agent.run(execution)
    agent.load({"kind": "file", "path": str(agent.path), "name": "turn"}, **{"as": "turn"})
    agent.run(of="turn", seconds=0)
    with pytest.raises(AgentError) as caught:
        agent.run(execution)
    assert type(caught.value) is AgentError
    assert caught.value.type == kind
    assert message in caught.value.message
    assert caught.value.where == f"worker 1 of 1 on {execution}"
    agent.statement("pass")
    assert agent.run(execution)["calls"][0] > 0


def test_one_worker_that_raises(agent: Driver) -> None:
    agent.file("import itertools\nn = itertools.count()\ndef f():\n    if next(n) == 3: raise ValueError('third')")
    with pytest.raises(AgentError, match="third") as caught:
        agent.run("threads", 4)
    assert caught.value.where in [f"worker {i} of 4 on threads" for i in range(1, 5)]
    assert len(agent.run("threads", 4)["calls"]) == 4


def test_statement_that_raised_can_run_again(agent: Driver) -> None:
    agent.statement("data.pop()", "data = [1, 2, 3]")
    with pytest.raises(AgentError, match="pop from empty list"):
        agent.run(batch=10)
    assert agent.run(seconds=0, batch=3)["calls"] == [3]


def test_one_setup_that_raises(agent: Driver) -> None:
    agent.file("n = []\ndef make():\n    n.append(0)\n    return 1 // (3 - len(n))\ndef f(a): pass", args="make()")
    with pytest.raises(AgentError) as caught:
        agent.run("threads", 4)
    assert caught.value.where == "worker 2 of 4 on threads: --args"


def test_printing(agent: Driver) -> None:
    agent.file("import os\ndef f(): print('out'); os.write(1, b'raw'); os.write(2, b'error'); os.system('echo child')")
    answer = agent.run(seconds=0)
    assert answer["printed"] == len(answer["printed_end"])
    assert all(text in answer["printed_end"] for text in ("out", "raw", "error", "child"))
    agent.statement("print('x' * 100)")
    answer = agent.run(seconds=0, batch=1000)
    assert answer["printed"] == 101_000
    assert len(answer["printed_end"]) == 2000
    agent.statement("pass")
    assert agent.run()["printed"] == 0


def test_reading_finds_nothing(agent: Driver) -> None:
    agent.statement("print([sys.stdin.read(), os.read(0, 9)])", "import os, sys")
    assert agent.run(seconds=0)["printed_end"] == "['', b'']\n"


def test_closed_descriptors(own: Driver) -> None:
    own.statement("[os.close(i) for i in range(3)]", "import os")
    own.run(seconds=0)
    own.statement("print('again')")
    assert own.run(seconds=0)["printed_end"] == "again\n"
    own.statement("sys.stdout.close(); sys.stderr = None", "import sys")
    own.run(seconds=0)
    own.statement("print('once more'); sys.stderr.write('error')", "import sys")
    assert own.run(seconds=0)["printed_end"] in ("once more\nerror", "erroronce more\n")


def test_changed_directory(agent: Driver) -> None:
    (agent.folder / "below").mkdir()
    agent.statement("os.chdir('below')", "import os")
    for _ in range(2):
        answer = agent.run(seconds=0)
        assert Path(answer["changed_directory"]).samefile(agent.folder / "below")
    agent.statement("pass")
    assert "changed_directory" not in agent.run()


@posix
@pytest.mark.parametrize("execution", ["serial", "threads"])
def test_forks(agent: Driver, execution: str) -> None:
    # The children return, raise or exit; only the parent counts.
    agent.file(
        """
        import os, itertools, warnings
        warnings.simplefilter("ignore")
        n = itertools.count()
        def f():
            i = next(n)
            child = os.fork()
            if not child and i % 3 == 1:
                raise ValueError
            if not child and i % 3 == 2:
                raise SystemExit(7)
            if child:
                os.waitpid(child, 0)
        """
    )
    assert agent.calibrate()["forked"]
    answer = agent.run(execution, 1, batch=20)
    assert answer["forked"]
    assert answer["calls"][0] > 0
    agent.statement("print('still one')")
    assert agent.run(seconds=0)["printed_end"] == "still one\n"


@posix
def test_process_that_a_fork_leaves(own: Driver) -> None:
    path = own.folder / "fifo"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as fifo:
        source = "import os, time\ndef f(path):\n    file = open(path, 'w')\n    if not os.fork(): time.sleep(600)"
        own.file(source, args=repr(str(path)))
        own.run(seconds=0)
        own.process.close()
        assert select.select([fifo], [], [], TIME_LIMIT)[0]
        assert fifo.read() == b""  # nobody has it open


def test_threads_that_the_target_leaves(own: Driver) -> None:
    own.file("import threading\ndef f(): threading.Thread(target=threading.Event().wait).start()")
    own.run(seconds=0)
    own.process.close()
    assert own.process.hello["pid"]


def test_the_path_of_the_agent_is_not_the_targets(own: Driver) -> None:
    with pytest.raises(AgentError, match="No module named 'agent_process'"):
        own.statement("pass", "import agent_process")


# Calibration


def test_calibration(agent: Driver) -> None:
    agent.statement("time.sleep(0.002)", "import time")
    found = agent.calibrate(0.5)
    assert found["call"] >= 0.002
    assert found["first"] >= 0.002
    assert 0 <= found["cpu"] < found["call"]
    assert 1 <= found["batch"] <= 2
    assert not found["forked"]


def test_calibration_of_a_short_function(agent: Driver) -> None:
    agent.file("def f(): pass")
    found = agent.calibrate(0.2)
    assert found["batch"] > 10
    assert found["overhead"] > 0
    assert found["call"] > 0


def test_calibration_of_a_function_longer_than_its_time(agent: Driver) -> None:
    agent.statement("print('call'); time.sleep(0.05)", "import time")
    found = agent.calibrate(0.002)
    assert found["printed_end"] == "call\n"
    assert found["batch"] == 1
    assert found["call"] == found["first"] >= 0.05


def test_calibration_of_a_function_whose_first_call_is_long(agent: Driver) -> None:
    agent.statement("time.sleep(seconds); seconds = 0", "import time; seconds = 0.05")
    found = agent.calibrate(0.01)
    assert found["call"] < 0.05 <= found["first"]


@linux
def test_memory_that_grows(agent: Driver) -> None:
    agent.statement("kept.append(bytearray(b'x') * 100_000); time.sleep(0.001)", "import time; kept = []")
    assert 50_000 < agent.calibrate(0.1)["memory_growth"] < 200_000


# The GIL


def test_probe(agent: Driver) -> None:
    agent.load({"kind": "control", "name": "held"})
    gil = agent.run("threads", 2, seconds=0.2, probe=True)["gil"]
    if not GIL:
        assert gil is None
    else:
        assert 0 < gil["held"] <= gil["probes"]
        assert gil["wait"] > 0


@pytest.mark.skipif(not GIL, reason="there is no GIL")
def test_python_probe() -> None:
    probe = agent_module.PythonProbe(agent_module.clock())
    deadline = time.monotonic() + TIME_LIMIT
    while probe._found[0] < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = probe.stop()
    assert found["probes"] >= 3
    assert 0 <= found["held"] <= found["probes"]


def test_gil_before_and_after(agent: Driver) -> None:
    loaded = agent.statement("pass")
    assert (loaded["gil_before"], loaded["gil_after"], loaded["gil_module"]) == (GIL, GIL, None)


def test_module_that_enables_the_gil(agent: Driver) -> None:
    text = "The global interpreter lock (GIL) has been enabled to load module 'slow.part', which has not declared"
    loaded = agent.statement(
        "pass", f"import warnings; warnings.warn({text!r}, RuntimeWarning); warnings.warn('other')"
    )
    assert loaded["gil_module"] == "slow.part"
    agent.statement(f"import warnings; warnings.warn({text!r}, RuntimeWarning)")
    assert agent.calibrate()["gil_module"] == "slow.part"
    assert "UserWarning: other" in loaded["printed_end"]


# Private copies


numbers = [1, 2]
table = {"numbers": numbers}
lock = threading.Lock()
LIMIT = 5


def read_numbers() -> list:
    return numbers


def outer(scale: int = 2, *, offset: int = 1) -> list:
    return [[n * scale + offset for n in read_numbers()], table, lock, LIMIT, json]


def count_calls() -> int:
    global numbers
    numbers = [*numbers, 0]
    return len(numbers)


def make_closure() -> object:
    seen: list = []

    def append(value: object) -> int:
        seen.append(value)
        return len(seen) + len(numbers)

    return append


class Tally:
    def __init__(self) -> None:
        self.calls: list = []

    def add(self) -> int:
        self.calls.append(numbers)
        return len(self.calls)

    __call__ = add


@pytest.mark.parametrize("value", [[], {}, {1}, ([],), threading.Lock(), Tally(), bytearray(), types.SimpleNamespace()])
def test_data(value: object) -> None:
    assert is_data(value)


@pytest.mark.parametrize("value", [5, "a", b"a", None, (1, "a"), json, len, outer, Tally, Tally().add, list[int]])
def test_what_is_no_data(value: object) -> None:
    assert not is_data(value)


def test_global_objects() -> None:
    assert global_objects(outer) == {"table": table, "lock": lock, "numbers": numbers}
    assert set(global_objects(make_closure())) == {"seen", "numbers"}
    assert set(global_objects(functools.partial(outer, 1))) == {"table", "lock", "numbers"}
    assert set(global_objects(Tally().add)) == {"numbers"}
    assert global_objects(len) == {}


def test_rebound_function() -> None:
    copies = private_copies({"numbers": numbers, "table": table, "lock": lock})
    private = rebind(outer, copies)
    values, its_table, its_lock, limit, module = private(offset=0)
    assert (values, limit, module) == ([2, 4], 5, json)
    assert its_table == table
    assert its_table is not table
    assert its_table["numbers"] is copies["numbers"]  # what two names share is shared by their copies
    assert its_lock is not lock
    assert private() == [[3, 5], its_table, its_lock, 5, json]
    assert outer()[1] is table


def test_rebound_functions_write_their_own_globals() -> None:
    first, second = (rebind(count_calls, private_copies({"numbers": numbers})) for _ in range(2))
    assert [first(), first(), second()] == [3, 4, 3]
    assert numbers == [1, 2]


def test_rebound_closure_and_method() -> None:
    append = make_closure()
    private = rebind(append, private_copies({"seen": []}))
    assert [private(1), private(1), append(1)] == [3, 4, 3]
    tally = Tally()
    for call in (tally.add, tally):
        private = rebind(call, private_copies({"self": tally}))
        assert [private(), private()] == [1, 2]
    assert tally.calls == []
    private = rebind(functools.partial(count_calls), {"numbers": []})
    assert private() == 1


def test_recursive_closure() -> None:
    def down(n: int) -> int:
        return down(n - 1) if n else len(numbers)

    assert rebind(down, {"numbers": [0]})(3) == 1


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Condition, threading.Event, Queue])
def test_copies_of_locks(make: object) -> None:
    original = make()
    copy = private_copies({"x": {"inside": original}})["x"]["inside"]
    assert copy is not original
    if isinstance(copy, Queue):
        copy.put(1)
        assert copy.get(timeout=TIME_LIMIT) == 1
        assert original.empty()
    elif isinstance(copy, threading.Event):
        copy.set()
        assert not original.is_set()
    else:
        with original:
            assert copy.acquire(timeout=TIME_LIMIT)


def test_objects_that_cannot_be_copied() -> None:
    with pytest.raises(TypeError, match="generator cannot be copied for each worker: cannot pickle 'generator' object"):
        private_copies({"generator": (i for i in "a")})


def test_private_names_of_a_run(agent: Driver) -> None:
    loaded = agent.file("calls = []\ndef g(): calls.append(0); print(len(calls))\ndef f(): g()")
    assert loaded["names"] == ["calls"]
    assert agent.printed("threads", 2, private_names=["calls"]) == ["1", "1"]
    assert agent.printed("threads", 2) == ["1", "2"]
    agent.file("calls = (i for i in 'a')\ndef f(): calls")
    with pytest.raises(AgentError, match="calls cannot be copied for each worker"):
        agent.run("threads", 2, private_names=["calls"])


def test_private_bound_method(agent: Driver) -> None:
    agent.file(
        """
        class A:
            def __init__(self): self.n = []
            def m(self): self.n.append(0); print(len(self.n))
        f = A().m
        """
    )
    assert agent.printed("threads", 2, private_names=["self"]) == ["1", "1"]


# Transport


def test_transport(agent: Driver) -> None:
    agent.file("def f(data): return data[:1000]", args="bytes(1_000_000)")
    found = agent.transport()
    assert 1_000_000 < found["argument_bytes"] < 1_001_000
    assert 1000 < found["result_bytes"] < 1100
    assert found["seconds"] > 0


def test_transport_of_a_coroutine(agent: Driver) -> None:
    agent.file("async def f(): return bytes(1000)")
    assert 1000 < agent.transport()["result_bytes"] < 1100


def test_transport_of_a_statement(agent: Driver) -> None:
    agent.statement("pass")
    found = agent.transport()
    assert (found["argument_bytes"], found["result_bytes"], found["seconds"]) == (0, 0, 0)


def test_transport_of_what_cannot_be_pickled(agent: Driver) -> None:
    agent.file("def f(a): return (i for i in 'a')", args="1")
    with pytest.raises(AgentError, match="the result of a call cannot be pickled"):
        agent.transport()
    agent.file("def f(a): pass", args="lambda: 1")
    with pytest.raises(AgentError, match="the arguments of a call cannot be pickled"):
        agent.transport()


def test_the_agent_keeps_to_old_syntax() -> None:
    import ast

    source = Path(agent_module.__file__).read_text()
    ast.parse(source, feature_version=(3, 9))


def test_function_that_ends_its_process(own: Driver) -> None:
    own.file("import os\ndef f(): print('last words', flush=True); os._exit(3)")
    with pytest.raises(AgentDied, match="the function ended its process with exit code 3") as caught:
        own.run("threads", 2)
    assert "last words" in caught.value.traceback
    assert caught.value.where == "run"
