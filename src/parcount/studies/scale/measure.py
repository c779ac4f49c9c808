"""`pc.scale`: what threads, processes, interpreters and asyncio do for a function of the user, and why not more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from parcount.report.notebook import shown_progress
from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.result import Study
from parcount.studies.scale.experiment import TIMEOUT, ScaleExperiment
from parcount.studies.scale.target import parse_target, pickle_target


def scale(
    function: Callable[..., Any] | str,
    *args: Any,
    setup: Callable[[], Any] | str | None = None,
    workers: int | Sequence[int] | None = None,
    executions: str | Sequence[str] | None = None,
    pythons: Sequence[str] = (),
    shared: bool = False,
    fresh: bool = False,
    seconds: float | None = None,
    timeout: float = TIMEOUT,
    seed: int = 0,
    progress: Progress | None = None,
    **kwargs: Any,
) -> Study:
    """Measure a function under serial, threads, processes, interpreters and asyncio, and name what limits it.

    One call is one unit of work. All workers start at the same time and call the function until the time of a sample is
    over. The speedup is the number of calls in a second relative to that of one worker in the same round. Loops that
    need nothing from the function run in the same rounds: what they gain is what the machine gives.

    ============== ====================================================================================================
    cause          it is named if
    ============== ====================================================================================================
    scales         threads gain what the control gains
    gil            threads are blocked, and the GIL is nearly always held
    lock           threads are blocked, the GIL is free, and processes are not blocked
    shared-objects a call on threads takes more CPU time than a serial one, and a call on processes does not
    memory         a call on processes takes more CPU time than a serial one, too
    waiting        a serial call spends three tenths of its time, or more, without a core
    startup        processes gain, but what is sent to them and back costs more than they gain
    serial-part    threads and processes are both blocked
    machine        the control does not gain
    undecided      the intervals do not tell
    ============== ====================================================================================================

    Parameters
    ----------
    function : callable or str
        What is called, a coroutine function too; or the text of a target of the command ``parcount scale``:
        ``"module:function"``, ``"file.py:function"`` or a statement.
    *args, **kwargs
        Its arguments. Each worker has its own copies, or with `shared` all threads those of the first.
    setup : callable or str, optional
        Called in each worker before its first call. If it returns something else than None, that is the tuple of
        arguments. Of a target that is a text: statements.
    workers : int or sequence of int, optional
        Numbers of workers; by default 1, 2, … all cores, and up to 16 if the function waits.
    executions : str or sequence of str, optional
        Of "serial", "threads", "processes", "interpreters", "asyncio"; by default all that are possible.
    pythons : sequence of str, optional
        Other Pythons that also measure a target that is a text: commands, versions or paths.
    shared : bool, optional
        Whether `setup` runs once for all threads rather than once for each, which then share the arguments.
    fresh : bool, optional
        Whether `setup` runs before each call. Its time is not measured.
    seconds : float, optional
        Time after which to end, by default 25 for each Python; it ends earlier if everything is decided.
    timeout : float, optional
        Seconds after which a call that has not returned is given up, and its process killed.
    seed : int, optional
        Seed of the order of the cells.
    progress : callable, optional
        Called with a description of the current step, the seconds passed and the seconds expected. By default a
        notebook shows a bar.

    Returns
    -------
    Study
        Its `cause` and `evidence` are those of the strongest cause; ``verdict.causes`` has all. After Ctrl-C: what had
        been measured, marked as not complete.

    Raises
    ------
    NothingMeasured
        If the function cannot be loaded, or every call fails; the message has the traceback.
    TypeError
        If it is not callable.
    ValueError
        If a name does not exist or a number is out of range.

    Notes
    -----
    The function runs in processes of its own: what it prints is discarded, and if it exits, crashes or changes the
    directory, this process is not concerned. Threads run in one of these processes, beside a thread that asks for the
    GIL now and then to see whether it is held. What cannot be pickled is measured in this process, without worker
    processes. Functions of a notebook, and nested ones, require cloudpickle to be pickled.

    The causes follow from where the time of a call goes (``docs/scale.md``). Amdahl's law: Amdahl, Validity of the
    single processor approach to achieving large scale computing capabilities, 1967. The Universal Scalability Law:
    Gunther, Guerrilla Capacity Planning, 2007.

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.scale("sum(range(1000))", workers=1, executions="threads", seconds=0.5)
    >>> result.name
    'scale'
    """
    if isinstance(function, str):
        if args or kwargs or callable(setup):
            raise TypeError("a target that is a text has neither arguments nor a setup that is a function")
        target = parse_target(function, setup)
    else:
        if isinstance(setup, str):
            raise TypeError("the setup of a function must be callable, not str")
        target = pickle_target(function, args, kwargs, setup)
    experiment = ScaleExperiment(
        target,
        workers=workers,
        executions=executions,
        pythons=pythons,
        shared=shared,
        fresh=fresh,
        seconds=seconds,
        timeout=timeout,
        seed=seed,
    )
    with shown_progress(progress) as shown:
        return run_study(experiment, shown)
