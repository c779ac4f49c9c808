"""What paths name, and what is in compressed files."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.files.inputs import DECOMPRESSION, File, Stream, find_inputs
from parcount.files.zstd import ZstdReader

COMPRESS = {".gz": gzip.compress}
try:
    from compression.zstd import compress  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    try:
        from zstandard import compress
    except ImportError:
        compress = None
if compress is not None:
    COMPRESS[".zst"] = compress


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with folders, in which the working directory is."""
    for name in ("b.log", "a.log", "x/c.log", "x/y/d.log", "x/e.txt", "[1].log", ".hidden"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*paths: str, recursive: bool = False) -> list[str]:
    return [source.name for source in find_inputs(paths, recursive=recursive)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.log", ["a.log"]),
        ("*.log", ["[1].log", "a.log", "b.log"]),
        ("[ab].log", ["a.log", "b.log"]),
        ("[1].log", ["[1].log"]),  # a file of this name is no pattern
        ("**/*.log", ["[1].log", "a.log", "b.log", "x/c.log", "x/y/d.log"]),
    ],
)
@pytest.mark.usefixtures("tree")
def test_patterns(path: str, found: list[str]) -> None:
    assert names(path) == [name.replace("/", os.sep) for name in found]


@pytest.mark.usefixtures("tree")
def test_folders_in_the_order_of_names_without_links_and_pipes() -> None:
    if hasattr(os, "mkfifo"):
        os.mkfifo("x/pipe")
        Path("x/link").symlink_to("e.txt")
        Path("x/loop").symlink_to(".")
    found = [".hidden", "[1].log", "a.log", "b.log", "x/c.log", "x/e.txt", "x/y/d.log"]
    assert names(".", recursive=True) == [os.path.join(".", name.replace("/", os.sep)) for name in found]  # noqa: PTH118


@pytest.mark.usefixtures("tree")
def test_a_link_that_is_named_is_followed() -> None:
    try:
        Path("link").symlink_to("a.log")
    except OSError:
        pytest.skip("no symbolic links here")
    (source,) = find_inputs(["link"])
    assert isinstance(source, File)
    assert source.size == len("a.log")


@pytest.mark.parametrize(
    ("path", "code"), [("missing", errno.ENOENT), ("no*match", errno.ENOENT), ("x", errno.EISDIR), ("", errno.ENOENT)]
)
@pytest.mark.usefixtures("tree")
def test_what_cannot_be_found(path: str, code: int) -> None:
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        find_inputs([path])
    assert caught.value.errno == code
    assert caught.value.filename == path
    errors = []
    assert [source.name for source in find_inputs([path, "a.log"], on_error=lambda *at: errors.append(at))] == ["a.log"]
    assert [name for name, _ in errors] == [path]


def test_standard_input_from_a_file_is_read_from_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"read\nleft\n")
    with path.open("rb") as file:
        saved = os.dup(0)
        try:
            os.dup2(file.fileno(), 0)
            os.lseek(0, 5, os.SEEK_SET)
            (source,) = find_inputs(["-"])
            if isinstance(source, File):
                assert (source.size, source.start) == (10, 5)
            else:
                assert sys.platform != "linux"
        finally:
            os.dup2(saved, 0)
            os.close(saved)


def test_a_closed_standard_input() -> None:
    with patch("sys.stdin", None), pytest.raises(OSError, match="standard input is closed"):
        find_inputs(["-"])


def contents(path: Path, step: int) -> bytes:
    (source,) = find_inputs([path])
    assert isinstance(source, Stream)
    assert source.plain_name == str(path.with_suffix(""))
    read = b""
    buffer = bytearray(step)
    with source.open() as opened:
        while size := opened.fill(memoryview(buffer)):
            read += buffer[:size]
        assert opened.done() == source.size
    return read


@pytest.mark.parametrize("suffix", COMPRESS)
@given(
    parts=st.lists(st.binary(max_size=100), min_size=1, max_size=3),
    repeat=st.sampled_from([1, 1000, 30_000]),
    data=st.data(),
)
def test_any_number_of_members_or_frames(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, parts: list[bytes], repeat: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("compressed") / f"a{suffix}"
    members = [COMPRESS[suffix](part * repeat) for part in parts]
    path.write_bytes(b"".join(members))
    whole = b"".join(part * repeat for part in parts)
    assert contents(path, max(1 << 10, len(whole) // 3)) == whole
    kept = data.draw(st.integers(1, len(members[-1]) - 1), "bytes of the last member")
    path.write_bytes(b"".join(members[:-1]) + members[-1][:kept])
    with pytest.raises(OSError, match=r"compressed data ends early|cannot be decompressed"):
        contents(path, 1 << 16)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_what_is_not_compressed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"not compressed, in spite of its name")
    with pytest.raises(OSError, match="cannot be decompressed"):
        contents(path, 1 << 10)


@pytest.mark.skipif(".zst" not in COMPRESS, reason="no zstandard")
def test_output_that_is_much_larger_than_the_input_comes_in_parts(tmp_path: Path) -> None:
    pytest.importorskip("zstandard")
    data = bytes(1 << 24)
    reader = ZstdReader(io.BytesIO(COMPRESS[".zst"](data)))
    assert reader.read() == data


def test_a_missing_library_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    path.touch()
    (source,) = find_inputs([path])
    with (
        patch.dict(sys.modules, {"zstandard": None, "compression.zstd": None}),
        pytest.raises(ImportError, match=r"pip install 'parcount\[files\]'"),
    ):
        source.open().__enter__()
    assert set(DECOMPRESSION) == {".gz", ".zst"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_pipes_and_devices_are_streams(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert [type(source) for source in find_inputs([tmp_path / "pipe", "/dev/null"])] == [Stream, Stream]
