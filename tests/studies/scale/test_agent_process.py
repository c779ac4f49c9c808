import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from parcount.studies.scale.agent import clock
from parcount.studies.scale.agent_process import AgentDied, AgentError, AgentProcess, AgentTimeout
from tests.remote import until
from tests.studies.scale.agents import SHORT, TIME_LIMIT, Driver, start

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no scripts with a first line, and no signals")

MakeInterpreter = Callable[[str], str]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Driver]:
    for process in start():
        yield Driver(process, tmp_path)


@pytest.fixture
def make_interpreter(tmp_path: Path) -> MakeInterpreter:
    """Make a script that is started like an interpreter."""

    def make(source: str) -> str:
        path = tmp_path / "interpreter"
        path.write_text(f"#!{sys.executable}\n{dedent(source)}")
        path.chmod(0o755)
        return str(path)

    return make


def test_options_of_the_interpreter() -> None:
    with AgentProcess([sys.executable, "-X", "parcount_option=1"]) as process:
        Driver(process, Path.cwd()).statement("print(sys._xoptions)", "import sys")
        assert "parcount_option" in Driver(process, Path.cwd()).run(seconds=0)["printed_end"]


def test_directory_and_environment(tmp_path: Path) -> None:
    environment = {**os.environ, "PARCOUNT_TEST_OF_AGENTS": "value"}
    with AgentProcess([sys.executable], cwd=tmp_path, environment=environment) as process:
        process.ask(
            {"do": "load", "target": {"kind": "statement", "setup": "import os", "statement": STATEMENT}}, TIME_LIMIT
        )
        request = {"do": "run", "execution": "serial", "seconds": 0}
        directory, value = process.ask(request, TIME_LIMIT)["printed_end"].splitlines()
    assert Path(directory).samefile(tmp_path)
    assert value == "value"


STATEMENT = "print(os.getcwd()); print(os.environ['PARCOUNT_TEST_OF_AGENTS'])"


# Interpreters that are none


def test_interpreter_that_does_not_exist() -> None:
    with pytest.raises(AgentError, match=r"no_such_python does not start: .+"):
        AgentProcess(["no_such_python"])


@posix
def test_interpreter_that_is_none(make_interpreter: MakeInterpreter) -> None:
    python = make_interpreter("raise SystemExit('I am something else')")
    with pytest.raises(AgentError, match="interpreter does not start as a Python: I am something else"):
        AgentProcess([python])


@posix
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sys.version_info = (3, 8, 2, 'final', 0)", r"is Python 3\.8\.2: CPython 3\.9 or newer is required"),
        ("sys.version_info = (2, 7, 18, 'final', 0); del sys.implementation", r"is Python 2\.7\.18: CPython 3\.9 or"),
        ("sys.implementation.name = 'pypy'", "is pypy: CPython is required"),
    ],
)
def test_interpreter_of_another_kind(make_interpreter: MakeInterpreter, change: str, message: str) -> None:
    python = make_interpreter(
        f"""
        import sys
        _, option, program, agent = sys.argv
        assert option == "-c"
        sys.argv = ["-c", agent]
        {change}
        exec(program)
        """
    )
    with pytest.raises(AgentError, match=message) as caught:
        AgentProcess([python])
    assert caught.value.type == "NotImplementedError"


@posix
def test_interpreter_that_prints_at_its_start(make_interpreter: MakeInterpreter) -> None:
    python = make_interpreter(
        """
        import os, sys
        print("welcome", flush=True)
        print(5, flush=True)
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
        """
    )
    with AgentProcess([python]) as process:
        assert process.hello["ok"]


# Answers


def test_two_agents_start_at_the_same_time(own: Driver) -> None:
    with AgentProcess([sys.executable]) as other:
        both = own, Driver(other, own.folder)
        for agent in both:
            agent.statement("pass")
        at = clock() + 0.2
        for agent in both:
            agent.process.send({"do": "run", "execution": "serial", "seconds": SHORT, "at": at})
        answers = [agent.process.receive(TIME_LIMIT) for agent in both]
    assert all(answer["begun"][0] >= at or answer["late"] for answer in answers)


def test_large_requests(own: Driver) -> None:
    own.statement("pass", f"data = {'x' * 3_000_000!r}")
    assert own.run()["ok"]


def test_error_answer(own: Driver) -> None:
    own.statement("1 / 0")
    with pytest.raises(AgentError) as caught:
        own.run("threads", 2)
    error = caught.value
    assert (error.type, error.message, str(error)) == ("ZeroDivisionError", "division by zero", "division by zero")
    assert error.where == "worker 1 of 2 on threads"
    assert error.traceback.startswith("Traceback")
    own.statement("pass")
    assert own.run()["ok"]


# Processes that end


def test_exit_code(own: Driver) -> None:
    own.statement("os._exit(3)", "import os")
    with pytest.raises(AgentDied, match="the function ended its process with exit code 3"):
        own.run()
    with pytest.raises(AgentDied, match="exit code 3"):
        own.run()


@posix
def test_signals(tmp_path: Path) -> None:
    for name, message in (("SIGKILL", r"killed by SIGKILL \(out of memory\?\)"), ("SIGTERM", "killed by SIGTERM$")):
        for process in start():
            agent = Driver(process, tmp_path)
            agent.statement(f"print('before', flush=True); os.kill(os.getpid(), signal.{name})", "import os, signal")
            with pytest.raises(AgentDied, match=message) as caught:
                agent.run("threads", 2)
            assert "before" in caught.value.traceback


@posix
def test_crash(own: Driver) -> None:
    own.statement("ctypes.string_at(0)", "import ctypes")
    with pytest.raises(AgentDied, match="killed by SIGSEGV") as caught:
        own.run()
    assert "Segmentation fault" in caught.value.traceback


@posix
def test_closed_pipes(own: Driver) -> None:
    own.statement("os.closerange(3, 100)", "import os")
    with pytest.raises(AgentDied):
        own.run()


@posix
@pytest.mark.parametrize("execution", ["serial", "threads"])
def test_death_while_a_child_lives(own: Driver, execution: str) -> None:
    """The child of a C library's fork would keep the pipes open."""
    own.file("import ctypes, os, time\ndef f():\n    if not ctypes.CDLL(None).fork(): time.sleep(600)\n    os._exit(4)")
    with pytest.raises(AgentDied, match="exit code 4"):
        own.run(execution)


@pytest.mark.parametrize("execution", ["serial", "threads", "asyncio"])
def test_function_that_never_returns(own: Driver, execution: str) -> None:
    own.file("import asyncio\nasync def f(): await asyncio.Event().wait()")
    own.process.send({"do": "run", "execution": execution, "workers": 2, "seconds": SHORT})
    with pytest.raises(AgentTimeout, match=r"there was no answer within 0\.5 s") as caught:
        own.process.receive(0.5)
    assert caught.value.where == "run"
    assert isinstance(caught.value, AgentDied | AgentError)
    with pytest.raises(AgentDied):
        own.run()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux' shared memory")
def test_shared_memory_of_a_function_that_never_returns(own: Driver) -> None:
    own.statement(
        "print(SharedMemory(create=True, size=10).name, flush=True); time.sleep(0 if first else 600); first = False",
        "import time; from multiprocessing.shared_memory import SharedMemory; first = True",
    )
    name = own.run(seconds=0)["printed_end"].strip()
    block = Path("/dev/shm", name)
    assert block.exists()
    own.process.send({"do": "run", "execution": "serial", "seconds": 0})
    with pytest.raises(AgentTimeout):
        own.process.receive(0.2)
    until(lambda: not block.exists(), "the resource tracker removes what the target has left")


def test_answer_that_is_not_received(own: Driver) -> None:
    own.statement("pass")
    own.process.send({"do": "run", "execution": "serial", "seconds": 0})
    assert "version" in own.process.ask({"do": "hello"}, TIME_LIMIT)


def test_loop_that_holds_the_gil_for_ever(own: Driver) -> None:
    own.statement("sum(itertools.repeat(0))", "import itertools")
    own.process.send({"do": "run", "execution": "serial", "seconds": SHORT})
    with pytest.raises(AgentTimeout):
        own.process.receive(0.5)


@posix
def test_what_the_target_started_is_killed(own: Driver) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    own.file(f"import subprocess, sys\ndef f(): print({child}.pid)")
    child = int(own.run(seconds=0)["printed_end"])
    own.process.close()
    until(lambda: not runs(child), "the child ends")


def runs(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_close_twice() -> None:
    process = AgentProcess([sys.executable])
    process.close()
    process.close()
    with pytest.raises(AgentDied, match="the process was closed"):
        process.ask({"do": "hello"}, TIME_LIMIT)


def test_close_while_a_call_runs() -> None:
    with AgentProcess([sys.executable]) as process:
        process.ask(
            {"do": "load", "target": {"kind": "statement", "setup": "", "statement": "while True: pass"}}, TIME_LIMIT
        )
        process.send({"do": "run", "execution": "serial", "seconds": SHORT})
    assert process._process.poll() is not None


@posix
def test_interrupt_does_not_reach_the_agent(own: Driver) -> None:
    assert os.getpgid(own.process.pid) == own.process.pid != os.getpgrp()
    own.statement("pass")
    os.kill(own.process.pid, signal.SIGINT)
    assert own.run()["ok"]


@posix
def test_agent_ends_with_its_instrument(tmp_path: Path) -> None:
    """Also while a call runs, and with it what the target has started."""
    script = f"""
import os, sys
sys.path[:] = {sys.path!r}
from parcount.studies.scale.agent_process import AgentProcess
process = AgentProcess([sys.executable])
target = {{"kind": "statement", "setup": "import time", "statement": "print(1, flush=True); time.sleep(600)"}}
process.ask({{"do": "load", "target": target}}, 60)
process.send({{"do": "run", "execution": "serial", "seconds": 1}})
print(process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    assert run.returncode == -signal.SIGKILL, run.stderr
    pid = int(run.stdout)
    until(lambda: not runs(pid), "the agent ends")


def test_the_clock_is_that_of_all_processes(own: Driver) -> None:
    own.statement("pass")
    before = clock()
    answer = own.run(seconds=0)
    assert before <= answer["begun"][0] <= answer["ended"][0] <= clock()
    if sys.platform != "win32":
        assert before <= time.monotonic()
