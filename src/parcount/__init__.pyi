from typing import Final

from parcount.arrays.bincount import bincount as bincount
from parcount.arrays.histogram import histogram as histogram
from parcount.arrays.histogramdd import histogram2d as histogram2d
from parcount.arrays.histogramdd import histogramdd as histogramdd
from parcount.arrays.scatter import add_at as add_at
from parcount.arrays.scatter import increment as increment
from parcount.arrays.tally import tally as tally
from parcount.arrays.unique import unique_counts as unique_counts
from parcount.costmodel import Plan as Plan
from parcount.costmodel import plan as plan
from parcount.counters.array import CounterArray as CounterArray
from parcount.counters.atomic import AtomicCounter as AtomicCounter
from parcount.counters.concurrent import ConcurrentCounter as ConcurrentCounter
from parcount.counters.local import LocalCounter as LocalCounter
from parcount.counters.locked import LockedCounter as LockedCounter
from parcount.counters.sharded import ShardedCounter as ShardedCounter
from parcount.counters.shared import SharedCounter as SharedCounter
from parcount.engine.num_threads import get_num_threads as get_num_threads
from parcount.engine.num_threads import set_num_threads as set_num_threads
from parcount.engine.threads import get_grain as get_grain
from parcount.engine.threads import set_grain as set_grain
from parcount.execution.adopted import Adopted as Adopted
from parcount.execution.base import Execution as Execution
from parcount.execution.coroutines import run as run
from parcount.execution.errors import WorkerDied as WorkerDied
from parcount.execution.interpreters import Interpreters as Interpreters
from parcount.execution.processes.execution import Processes as Processes
from parcount.execution.serial import Serial as Serial
from parcount.execution.threads import Threads as Threads
from parcount.files.functions import count_bytes as count_bytes
from parcount.files.functions import count_lines as count_lines
from parcount.files.functions import count_values as count_values
from parcount.files.functions import count_words as count_words
from parcount.files.inputs import FileChanged as FileChanged
from parcount.files.journal.handler import JournalHandler as JournalHandler
from parcount.files.journal.journal import Journal as Journal
from parcount.files.journal.reader import JournalReader as JournalReader
from parcount.kernels.info import KernelInfo as KernelInfo
from parcount.kernels.info import kernel_info as kernel_info
from parcount.shm.blocks import shared_array as shared_array
from parcount.studies import Study as Study
from parcount.studies import study as study
from parcount.studies.scale.measure import scale as scale
from parcount.system.cores import available_cores as available_cores

__version__: Final[str]
