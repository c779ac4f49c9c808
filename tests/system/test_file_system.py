from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parcount.system.file_system import file_system

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /data rw shared:5 - nfs4 host:/data rw,vers=4.2
31 30 0:27 / /data/a\\040b rw - tmpfs tmpfs rw
32 31 0:28 / /data/a\\040b rw - overlay overlay rw,lowerdir=/x
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "ext4"), ("/database/x", "ext4"), ("/data", "nfs4"), ("/data/x/y", "nfs4"), ("/data/a b/c", "overlay")],
)
@pytest.mark.skipif(sys.platform == "win32", reason="other paths")
def test_the_longest_mount_point_counts_and_of_equal_ones_the_last(path: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(MOUNTS)
    assert file_system(path, proc=tmp_path) == name


def test_without_a_list_of_mounts_it_is_not_known(tmp_path: Path) -> None:
    assert file_system(tmp_path, proc=tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="GNU df")
def test_it_is_what_df_says(tmp_path: Path) -> None:
    told = subprocess.run(["df", "--output=fstype", tmp_path], capture_output=True, text=True, timeout=60, check=True)
    assert file_system(tmp_path) == told.stdout.split()[-1]
