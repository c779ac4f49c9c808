"""What all workloads are made of: variants, kernels by name, tables, cuts."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount import kernels
from parcount.kernels import VARIANTS, WORKLOADS, Part, Variant
from parcount.kernels.job import CACHE_LINE, Slices, count_part, cuts, table, total
from tests.conftest import Run
from tests.kernels.support import counted, kernel


@pytest.fixture(params=WORKLOADS)
def workload(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class TestWorkloads:
    def test_are_found_by_name(self, workload: str) -> None:
        assert kernels.workload(workload).name == workload

    def test_an_unknown_one_is_answered_with_those_there_are(self) -> None:
        with pytest.raises(ValueError, match="no workload 'juggling'; there are tally, increment, bincount, histogram"):
            kernels.workload("juggling")

    def test_have_every_variant_in_order(self, workload: str) -> None:
        assert list(WORKLOADS[workload].kernels) == list(VARIANTS)

    def test_equal_seeds_make_equal_jobs(self, workload: str) -> None:
        make = WORKLOADS[workload].make
        assert np.array_equal(make(1000, 3).exact(), make(1000, 3).exact())
        assert not np.array_equal(make(1000, 3).exact(), make(1000, 4).exact())

    @pytest.mark.parametrize("size", [0, 1, 10, 999])
    def test_a_head_is_a_job_of_the_first(self, workload: str, variant: str, size: int) -> None:
        head = WORKLOADS[workload].make(1000, 1).head(size)
        assert head.size == size
        assert np.array_equal(counted(kernel(workload, variant), head, 2), head.exact())

    @pytest.mark.parametrize(("size", "parts"), [(0, 1), (0, 3), (2, 5), (10, 3)])
    def test_there_are_as_many_parts_as_asked_for(self, workload: str, size: int, parts: int) -> None:
        assert len(WORKLOADS[workload].make(size).split(parts)) == parts


class TestVariant:
    def test_without_requirements_is_never_missing(self) -> None:
        assert Variant("plain", "needs nothing", "plain").missing() is None

    def test_tells_what_it_misses(self) -> None:
        missing = Variant("exotic", "needs much", "exotic", requires="no_such_module").missing()
        assert missing == "No module named 'no_such_module'"

    def test_without_numba_its_variants_are_missing_and_all_else_works(self, run_script: Run) -> None:
        ran = run_script("""
import sys
sys.modules["numba"] = None  # importing it now fails as where it is not installed
import parcount as pc
from parcount.kernels import VARIANTS, WORKLOADS
from parcount.kernels.job import count_part
print([name for name, variant in VARIANTS.items() if variant.missing()])
print(VARIANTS["numba"].missing())
print(pc.tally(100, threads=2).sum())
for workload in WORKLOADS.values():
    job = workload.make(100)
    for name, variant in VARIANTS.items():
        if not variant.missing():
            job.reset()
            assert (job.merge([count_part(workload.kernels[name], part) for part in job.split(2)]) == job.exact()).all()
""")
        assert ran.returncode == 0, ran.stderr
        missing, reason, counted, *rest = ran.stdout.splitlines()
        assert missing == "['numba', 'numba-parallel']"
        assert "numba" in reason
        assert (counted, rest) == ("100", [])


class TestKernels:
    def test_travel_by_name(self, workload: str) -> None:
        for name, variant in VARIANTS.items():
            if not variant.missing():
                kernel = WORKLOADS[workload].kernels[name]
                message = pickle.dumps(kernel)
                assert len(message) < 200
                assert pickle.loads(message) is kernel

    def test_count_into_a_new_table_or_in_place(self) -> None:
        kernel = WORKLOADS["tally"].kernels["cython"]
        new = count_part(kernel, Part(4, (0, 10, 0)))
        cells = np.zeros(4, np.int64)
        assert count_part(kernel, Part(cells, (0, 10, 0))) is cells
        assert np.array_equal(new, cells)


class TestSlices:
    @pytest.mark.parametrize("size", [0, 1, 2, 10])
    @pytest.mark.parametrize("parts", [1, 2, 3, 11])
    def test_parts_make_up_the_whole(self, size: int, parts: int) -> None:
        arrays = [np.arange(size), np.arange(size) * 2]
        split = Slices(arrays, ("setting",)).split(parts)
        assert len(split) == parts
        for position, array in enumerate(arrays):
            assert np.concatenate([part.args[position] for part in split]).tolist() == array.tolist()
        assert all(part.args[2:] == ("setting",) and part.table is None for part in split)

    def test_parts_share_the_arrays_memory(self) -> None:
        a = np.arange(10)
        assert all(np.shares_memory(part.args[0], a) for part in Slices([a]).split(2))

    def test_have_no_exact_answer_without_a_reference(self) -> None:
        with pytest.raises(ValueError, match="no reference"):
            Slices([np.arange(3)]).exact()


@pytest.mark.parametrize("lengths", [[3], [3, 3], [1, 3, 2], [0, 0], [3, 0, 3]])
def test_tables_of_any_lengths_add_up(lengths: list[int]) -> None:
    tables = [np.arange(length) + 1 for length in lengths]
    expected = sum((np.pad(table, (0, max(lengths) - len(table))) for table in tables), np.zeros(max(lengths), int))
    assert total(tables).tolist() == expected.tolist()


class TestTable:
    @given(st.lists(st.integers(1, 200), min_size=1, max_size=20))
    def test_no_two_share_a_cache_line(self, sizes: list[int]) -> None:
        tables = [table(bins) for bins in sizes]
        used: set[int] = set()
        for bins, counts in zip(sizes, tables, strict=True):
            assert counts.shape == (bins,)
            assert counts.dtype == np.int64
            assert not counts.any()
            first = counts.ctypes.data
            assert first % CACHE_LINE == 0
            lines = set(range(first // CACHE_LINE, -(-(first + counts.nbytes) // CACHE_LINE)))
            assert not used & lines
            used |= lines

    @given(st.integers(1, 1000))
    def test_its_last_cache_line_is_its_own(self, bins: int) -> None:
        # Not only against other tables: whatever else the allocator puts behind it must begin on another line.
        counts = table(bins)
        base = counts.base
        assert isinstance(base, np.ndarray)
        end = -(-(counts.ctypes.data + counts.nbytes) // CACHE_LINE) * CACHE_LINE
        assert base.ctypes.data + base.nbytes >= end
        assert counts.flags.c_contiguous

    def test_can_be_empty(self) -> None:
        assert table(0).tolist() == []


class TestCuts:
    @given(st.integers(0, 1 << 63), st.integers(1, 300))
    def test_cover_everything_once_in_order_and_nearly_equally(self, size: int, parts: int) -> None:
        ranges = cuts(size, parts)
        assert len(ranges) == parts
        assert ranges[0][0] == 0
        assert ranges[-1][1] == size
        assert all(stop == start for (_, stop), (start, _) in pairwise(ranges))
        lengths = {stop - start for start, stop in ranges}
        assert min(lengths) >= 0
        assert max(lengths) - min(lengths) <= 1


@given(st.lists(st.lists(st.integers(0, 1 << 40), min_size=3, max_size=3), min_size=1, max_size=9))
def test_total_adds_tables_cell_by_cell(tables: list[list[int]]) -> None:
    counts = total([np.array(counts) for counts in tables])
    assert counts.tolist() == [sum(cells) for cells in zip(*tables, strict=True)]
    assert counts.dtype == np.int64
