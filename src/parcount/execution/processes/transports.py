"""The ways in which parts and partials travel between the caller and its worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Literal

from parcount.execution.processes.channel import Channel, pipe, queues
from parcount.execution.processes.serialisation import OUT_OF_BAND_MIN_BYTES, SHARED_COPY_MIN_BYTES, Packing

TransportName = Literal["pickle", "pipe", "queue", "shared_memory"]


@dataclass(frozen=True)
class Transport:
    """One way.

    Parameters
    ----------
    open : callable
        Makes the caller's end of a channel, and the worker's.
    packing : Packing
        How arrays go that lie neither in shared memory nor in a file.
    """

    open: Callable[[BaseContext], tuple[Channel, Channel]]
    packing: Packing


TRANSPORTS: Mapping[TransportName, Transport] = {
    "pickle": Transport(pipe, Packing()),
    "pipe": Transport(pipe, Packing(out_of_band_min=OUT_OF_BAND_MIN_BYTES)),
    "queue": Transport(queues, Packing()),
    "shared_memory": Transport(
        pipe, Packing(out_of_band_min=OUT_OF_BAND_MIN_BYTES, shared_copy_min=SHARED_COPY_MIN_BYTES)
    ),
}
"""All of them, by the name that `Processes` takes."""
