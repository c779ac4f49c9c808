"""The transports: how items and results are sent between the caller and its worker processes."""

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
    """A kind of channel, and how arrays are sent through it."""

    open: Callable[[BaseContext], tuple[Channel, Channel]]  # returns the caller's end and the worker's
    packing: Packing


TRANSPORTS: Mapping[TransportName, Transport] = {
    "pickle": Transport(pipe, Packing()),
    "pipe": Transport(pipe, Packing(out_of_band_min=OUT_OF_BAND_MIN_BYTES)),
    "queue": Transport(queues, Packing()),
    "shared_memory": Transport(
        pipe, Packing(out_of_band_min=OUT_OF_BAND_MIN_BYTES, shared_copy_min=SHARED_COPY_MIN_BYTES)
    ),
}
"""By the name that `Processes` takes."""
