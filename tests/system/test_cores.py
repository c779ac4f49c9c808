"""How many cores there are to use, in files as Linux has them."""

import os
import sys
from pathlib import Path

import pytest

import parcount as pc
from parcount.cli import main
from parcount.system.cores import MAX_CORES, Cores, available_cores, cores, split_cores, spread
from tests.conftest import Run


class Groups:
    """Control groups, written where a test wants them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "cgroup"
        self.membership = folder / "membership"

    def write(self, files: dict[str, str], membership: str) -> None:
        self.membership.write_text(membership)
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def quota(self) -> float | None:
        return cores(self.root, self.membership).quota


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


class TestVersion2:
    @pytest.mark.parametrize(
        ("limit", "quota"),
        [("150000 100000\n", 1.5), ("50000 100000\n", 0.5), ("400000 100000\n", 4.0), ("max 100000\n", None)],
    )
    def test_quota_of_the_root(self, groups: Groups, limit: str, quota: float | None) -> None:
        groups.write({"cpu.max": limit}, "0::/\n")
        assert groups.quota() == quota

    @pytest.mark.parametrize(
        ("outer", "inner", "quota"),
        [("300000", "200000", 2.0), ("200000", "300000", 2.0), ("200000", "max", 2.0), ("max", "200000", 2.0)],
    )
    def test_the_tightest_of_nested_groups_counts(self, groups: Groups, outer: str, inner: str, quota: float) -> None:
        groups.write(
            {"user/cpu.max": f"{outer} 100000\n", "user/session/cpu.max": f"{inner} 100000\n"}, "0::/user/session\n"
        )
        assert groups.quota() == quota

    def test_groups_of_others_do_not_count(self, groups: Groups) -> None:
        groups.write({"mine/cpu.max": "max 100000\n", "other/cpu.max": "100000 100000\n"}, "0::/mine\n")
        assert groups.quota() is None

    def test_inside_a_container_the_root_stands_for_a_group_that_is_not_there(self, groups: Groups) -> None:
        groups.write({"cpu.max": "250000 100000\n"}, "0::/docker/0123456789ab\n")
        assert groups.quota() == 2.5


class TestVersion1:
    MEMBERSHIP = "4:cpu,cpuacct:/box\n3:memory:/elsewhere\n0::/box\n"

    @pytest.mark.parametrize(("limit", "quota"), [("150000\n", 1.5), ("-1\n", None)])
    def test_quota(self, groups: Groups, limit: str, quota: float | None) -> None:
        files = {"cpu/box/cpu.cfs_quota_us": limit, "cpu/box/cpu.cfs_period_us": "100000\n"}
        groups.write(files, self.MEMBERSHIP)
        assert groups.quota() == quota

    def test_inside_a_container_the_root_stands_for_a_group_that_is_not_there(self, groups: Groups) -> None:
        files = {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "25000\n"}
        groups.write(files, "4:cpu,cpuacct:/docker/0123456789ab\n")
        assert groups.quota() == 2.0

    def test_groups_of_other_controllers_do_not_count(self, groups: Groups) -> None:
        files = {"cpu/elsewhere/cpu.cfs_quota_us": "50000\n", "cpu/elsewhere/cpu.cfs_period_us": "100000\n"}
        groups.write(files, self.MEMBERSHIP)
        assert groups.quota() is None


def test_no_control_groups_no_quota(groups: Groups) -> None:
    assert groups.quota() is None


@pytest.mark.parametrize(
    ("limits", "available", "parallel", "reason"),
    [
        (Cores(8), 8, 8, "the machine has 8, and neither affinity nor a quota takes any away"),
        (Cores(8, 8, 16.0), 8, 8, "the machine has 8, and neither affinity nor a quota takes any away"),
        (Cores(8, 3), 3, 3, "the process is bound to 3 of 8 cores"),
        (Cores(8, 8, 2.0), 2, 2, "the container's quota is 2 cores of 8"),
        (Cores(8, 8, 1.5), 1, 2, "the container's quota is 1.5 cores of 8"),  # half a core more is none to keep busy
        (Cores(8, 8, 0.5), 1, 1, "the container's quota is 0.5 cores of 8"),
        (Cores(8, 2, 3.5), 2, 2, "the process is bound to 2 of 8 cores"),
        (Cores(8, 3, 2.5), 2, 3, "the container's quota is 2.5 cores of 8"),
        (Cores(8, 6, 5.5, 3), 3, 3, "PARCOUNT_MAX_CORES is 3"),
        (Cores(8, 3, None, 3), 3, 3, "the process is bound to 3 of 8 cores"),
        (Cores(8, 8, None, 9), 8, 8, "the machine has 8, and neither affinity nor a quota takes any away"),
        (Cores(1), 1, 1, "the machine has 1, and neither affinity nor a quota takes any away"),
    ],
)
def test_the_least_limit_counts_and_is_named(limits: Cores, available: int, parallel: int, reason: str) -> None:
    assert limits.available == available
    assert limits.parallel == parallel
    assert limits.reason == reason


def test_where_there_is_no_affinity_the_machine_counts(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores(groups.root, groups.membership) == Cores(6, None, None)


def test_the_machine_may_not_know(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(groups.root, groups.membership).machine == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds a process to cores")
def test_a_process_bound_to_one_core_has_one(run_script: Run) -> None:
    ran = run_script("""
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import parcount as pc
print(pc.available_cores(), pc.Threads().workers, pc.get_num_threads())
""")
    assert ran.stdout == "1 1 1\n", ran.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinities")
def test_processes_are_spread_over_the_cores_if_there_are_enough() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    with pc.Processes(len(allowed)) as processes:
        pids = processes.pids()
        spread([*pids, os.getpid()])  # one too many
        assert all(os.sched_getaffinity(pid) == set(allowed) for pid in pids)
        spread(pids)
        assert [os.sched_getaffinity(pid) for pid in pids] == [{core} for core in allowed]
    assert os.sched_getaffinity(0) == set(allowed)


class TestMaxCores:
    def test_is_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MAX_CORES, "1")
        assert cores().limit == available_cores() == 1

    def test_empty_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MAX_CORES, "")
        assert cores().limit is None

    @pytest.mark.parametrize("text", ["0", "-1", "many", "2.5"])
    def test_invalid_values_raise(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv(MAX_CORES, text)
        with pytest.raises(ValueError, match=f"PARCOUNT_MAX_CORES must be an integer of at least 1, not '{text}'"):
            pc.Threads()

    def test_info_names_it(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        if available_cores() == 1:
            pytest.skip("one core is not limited further")
        monkeypatch.setenv(MAX_CORES, "1")
        assert main(["info"]) == 0
        assert "1 available: PARCOUNT_MAX_CORES is 1" in capsys.readouterr().out


def test_there_is_at_least_one() -> None:
    assert pc.available_cores is available_cores
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("cores", "workers", "shares"),
    [
        ({4, 5, 8, 9}, 2, [[4, 5], [8, 9]]),
        ({0, 1, 2}, 2, [[0], [1, 2]]),
        ({3, 1}, 2, [[1], [3]]),
        ({0, 1}, 3, []),
        (set(), 2, []),
    ],
)
def test_cores_are_dealt_out(cores: set[int], workers: int, shares: list[list[int]]) -> None:
    assert split_cores(frozenset(cores), workers) == shares
