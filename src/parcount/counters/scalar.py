"""The common base of the scalar counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex


class Scalar:
    """A counter of one number; docs/counters.md describes the common interface and compares the costs."""

    __slots__ = ()

    def __init__(self, value: SupportsIndex = 0) -> None:
        super().__init__(value)  # type: ignore[call-arg] # of the compiled class

    if TYPE_CHECKING:  # at run time it would hide that of the compiled classes

        @property
        def value(self) -> int:
            """The current value."""

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        refuse_pickling(self)


def refuse_pickling(counter: object) -> NoReturn:
    """Raise the `TypeError` of a counter that cannot be pickled or copied."""
    raise TypeError(
        f"{type(counter).__name__} cannot be copied or pickled: counts added to the copy would be missing here. "
        "Use a SharedCounter, or a CounterArray with shared=True, to count in several processes."
    )
