"""The questions that a study can ask: a row in the table below, and a folder in `parcount.report`, for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parcount.studies.core.result import Study


@dataclass(frozen=True)
class StudyEntry:
    """What a study is about. Its code is loaded only when it is asked.

    Parameters
    ----------
    name : str
        As the command and the result file spell it, and as `parcount.report` calls its folder.
    summary : str
        What is measured, in a sentence for the command's help.
    home : str
        The module that has its ``options``: these take keywords, and raise ValueError for what makes no sense.
    function : str
        What conducts it, in `home`: takes the same keywords and ``progress``, and returns a `Study`.
    takes : tuple of str
        Keywords that it takes besides ``seed`` and ``seconds``, which all do.
    """

    name: str
    summary: str
    home: str
    function: str
    takes: tuple[str, ...]

    def check(self, **asked: Any) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        ValueError
            With what would.
        """
        import_module(self.home).options(**asked)

    def ask(self, **asked: Any) -> Study:
        """Conduct the study."""
        study: Study = getattr(import_module(self.home), self.function)(**asked)
        return study


STUDIES: Mapping[str, StudyEntry] = {
    question.name: question
    for question in (
        StudyEntry(
            "gil",
            "how the counting loop scales, every variant under every execution",
            "parcount.studies",
            "study",
            ("workloads", "variants", "executions", "workers", "size", "data"),
        ),
        StudyEntry(
            "counters",
            "what each way to count with several workers costs, and what it loses",
            "parcount.studies.counters",
            "study_counters",
            ("variants", "workers", "size"),
        ),
        StudyEntry(
            "io",
            "what threads, processes and asyncio buy where a program waits for a network, and not where it computes",
            "parcount.studies.io",
            "study_io",
            ("executions", "workers", "size", "delay"),
        ),
        StudyEntry(
            "transports",
            "what it takes to get an array to a worker process and back, by each transport",
            "parcount.studies.transports",
            "study_transports",
            ("variants", "size"),
        ),
    )
}
"""The questions, by name."""

DEFAULT = next(iter(STUDIES))
"""What a study is about that does not say: files from before there were other questions do not."""
