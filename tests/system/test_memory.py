from __future__ import annotations

import sys
from pathlib import Path

from parcount.system.memory import FreeMemory, free_memory


def test_free_memory_is_the_least_of_the_machine_and_the_container(tmp_path: Path) -> None:
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    (proc / "meminfo").write_text("MemTotal: 16 kB\nMemAvailable:    8 kB\n")
    assert free_memory(tmp_path, proc=proc, cgroup=cgroup).memory == 8192
    cgroup.mkdir()
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("5000\n")
    assert free_memory(tmp_path, proc=proc, cgroup=cgroup).memory == 8192
    (cgroup / "memory.max").write_text("6000\n")
    assert free_memory(tmp_path, proc=proc, cgroup=cgroup).memory == 1000
    (cgroup / "memory.stat").write_text("anon 4000\ninactive_file 700\n")
    assert free_memory(tmp_path, proc=proc, cgroup=cgroup).memory == 1700


def test_version_1_of_control_groups(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("9000\n")
    (folder / "memory.usage_in_bytes").write_text("5000\n")
    (folder / "memory.stat").write_text("total_inactive_file 500\n")
    assert free_memory(tmp_path, proc=tmp_path, cgroup=tmp_path).memory == 4500


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert free_memory(none, proc=none, cgroup=none, shared=none) == FreeMemory()


def test_this_machine(tmp_path: Path) -> None:
    room = free_memory(tmp_path)
    assert room.disk is not None
    assert room.disk >= 0
    if sys.platform == "linux":
        assert room.memory is not None
        assert room.memory > 0
