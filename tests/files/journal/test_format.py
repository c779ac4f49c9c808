"""The format: what is intact in a damaged file is found, and nothing else."""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount._native.journal_blocks import ALIGNMENT, MAX_RECORD, RECORDS_AT, build_block, crc32c
from parcount.files.journal import reader
from parcount.files.journal.format import COPY_AT, HEADER_SIZE, new_header, read_marker
from tests.files.journal.support import build, damages, data_of, read

DATA = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(bytes), st.just(b"\n" * 9))
RECORDS = st.lists(st.tuples(st.integers(0, 2), DATA), min_size=1, max_size=12)
DAMAGE = st.tuples(
    st.sampled_from(["flip", "zero", "ones", "copy", "truncate"]), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)
)


def numbered(records: list[tuple[int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Number the records of each writer."""
    counts = [0] * 3
    result = []
    for writer, data in records:
        result.append((writer, counts[writer], data))
        counts[writer] += 1
    return result


def damage(file: bytearray, kind: str, start: float, length: float, source: float) -> None:
    """Damage a file behind its header; positions and lengths are parts of it."""
    first = RECORDS_AT + int(start * (len(file) - RECORDS_AT))
    size = int(length**4 * (len(file) - first))
    if kind == "flip" and first < len(file):
        file[first] ^= 1 << int(source * 7)
    elif kind == "truncate":
        del file[first:]
    elif kind == "copy":  # a page that the disk wrote to a wrong place
        at = RECORDS_AT + int(source * (len(file) - RECORDS_AT - size)) // ALIGNMENT * ALIGNMENT
        first = first // ALIGNMENT * ALIGNMENT
        file[first : first + size] = file[at : at + size]
    else:
        file[first : first + size] = (b"\0" if kind == "zero" else b"\xff") * size


@given(RECORDS, st.lists(DAMAGE, min_size=1, max_size=4), st.sampled_from([64, 200, 4096, 1 << 20]))
def test_every_intact_record_of_a_damaged_file_is_found(
    records: list[tuple[int, bytes]], injuries: list[tuple[str, float, float, float]], chunk: int
) -> None:
    whole, built = build(numbered(records))
    file = bytearray(whole)
    for injury in injuries:
        damage(file, *injury)
    ends = [*(record.offset for record in built[1:]), len(whole)]
    intact = [
        record
        for record, end in zip(built, ends, strict=True)
        if file[record.offset : end] == whole[record.offset : end]
    ]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_CHUNK", chunk)
        path = Path(folder) / "journal"
        path.write_bytes(file)
        assert read(path) == intact
        with pc.JournalReader(path) as opened:
            assert list(opened.follow(0)) == intact
        found = damages(path)
        assert bool([each for each in found if each.size]) <= (len(intact) < len(built))
        for each in found:
            if each.size:  # no intact record is in it
                assert not [r for r in intact if each.offset <= r.offset < each.offset + each.size]
        repaired = Path(folder) / "repaired"
        with pc.JournalReader(path) as opened:
            assert opened.repair(repaired) == len(intact)
        assert [record[:3] for record in read(repaired)] == [record[:3] for record in intact]
        assert not [each for each in damages(repaired) if each.size]


def test_blocks_inside_the_data_of_a_torn_record_are_none(tmp_path: Path) -> None:
    header = new_header()
    inner, _ = build([(1, 0, b"inner"), (1, 1, b"inner")], header)
    file, built = build([(1, 0, b"first"), (2, 0, bytes(inner)), (2, 1, b"last")], header)
    file[built[1].offset + 8] ^= 1
    path = tmp_path / "journal"
    path.write_bytes(file)
    assert data_of(path) == [b"first", b"last"]
    assert [(each.kind, each.offset) for each in damages(path)] == [
        ("torn", built[1].offset),
        ("missing", built[2].offset),
    ]


@given(st.permutations([(1, 0), (1, 1), (1, 2), (2, 0), (1, 3), (2, 1)]), st.sets(st.integers(0, 5)))
def test_sequences(order: list[tuple[int, int]], doubled: set[int]) -> None:
    numbers = [pair for i, pair in enumerate(order) for pair in [pair] * (1 + (i in doubled))]
    file, _ = build([(*pair, b"") for pair in numbers])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        path.write_bytes(file)
        kinds = [each.kind for each in damages(path)]
    assert kinds.count("duplicate") == len(doubled)
    late = sum(any(w == writer and s > n for w, s in order[:i]) for i, (writer, n) in enumerate(order))
    assert kinds.count("order") == late
    assert ("missing" in kinds) == (late > 0)


@given(st.binary(max_size=100), st.integers(0, 2**60), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_block_is_what_the_documentation_says(data: bytes, place: int, writer: int, sequence: int) -> None:
    marker, offset = b"\x01markers", place * ALIGNMENT
    block = build_block(marker, offset, writer, sequence, data)
    fields = struct.pack("<QQQ", len(data), writer, sequence)
    crc = crc32c(data + struct.pack("<Q", offset) + fields)
    expected = marker + struct.pack("<II", crc, len(data)) + struct.pack("<QQ", writer, sequence) + data
    padding = block[len(expected) :]
    assert block[: len(expected)] == expected
    assert 1 <= len(padding) <= ALIGNMENT
    assert set(padding) == {ord("\n")}
    assert len(block) % ALIGNMENT == 0


class TestHeader:
    def test_what_it_contains(self, tmp_path: Path) -> None:
        pc.Journal(tmp_path / "journal").close()
        content = (tmp_path / "journal").read_bytes()
        magic, version, marker, crc = struct.unpack("<8sI4x8s36xI", content[:64])
        assert (magic, version, crc) == (b"\x89pcjrnl\n", 1, crc32c(content[:60]))
        assert content[COPY_AT:] == content[:64]
        assert read_marker(content, "") == marker

    @pytest.mark.parametrize("how", ["lock", "queue", "reserve"])
    @pytest.mark.parametrize("content", [b"text\n", b"\x89pcjrnl", bytes(RECORDS_AT + 1), b"\x89PNG\r\n\x1a\n" * 20])
    def test_another_file_is_refused_and_left_as_it_is(self, content: bytes, how: str, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a journal"):
            pc.Journal(path, how=how)
        with pytest.raises(ValueError, match="is not a journal"):
            pc.JournalReader(path)
        assert path.read_bytes() == content

    def test_a_later_version_is_refused(self, tmp_path: Path) -> None:
        header = bytearray(new_header())
        header[8] = 2
        header[60:] = crc32c(header[:60]).to_bytes(4, "little")
        path = tmp_path / "journal"
        path.write_bytes(header.ljust(COPY_AT, b"\0") + header)
        for open_it in (pc.Journal, pc.JournalReader):
            with pytest.raises(ValueError, match="version 2; this release reads version 1"):
                open_it(path)

    @pytest.mark.parametrize("place", [0, 8, 20, 63])
    def test_a_damaged_one_is_refused_for_writing_and_read_from_its_copy(self, place: int, tmp_path: Path) -> None:
        file, _ = build([(1, 0, b"one")])
        file[place] ^= 1
        path = tmp_path / "journal"
        path.write_bytes(file)
        with pytest.raises(ValueError, match="is damaged; repair it"):
            pc.Journal(path)
        assert data_of(path) == [b"one"]
        assert [(each.offset, each.size, each.kind) for each in damages(path)] == [(0, HEADER_SIZE, "torn")]
        with pc.JournalReader(path) as opened:
            opened.repair(tmp_path / "repaired")
        with pc.Journal(tmp_path / "repaired") as journal:
            journal.append(b"two")
            assert [record.data for record in journal] == [b"one", b"two"]

    def test_without_header_and_copy_nothing_can_be_read(self, tmp_path: Path) -> None:
        file, _ = build([(1, 0, b"one")])
        file[20] ^= 1
        file[COPY_AT + 20] ^= 1
        path = tmp_path / "journal"
        path.write_bytes(file)
        with pytest.raises(ValueError, match="is damaged"):
            pc.JournalReader(path)

    @pytest.mark.parametrize("written", [b"", bytes(RECORDS_AT), bytes(COPY_AT) + new_header()])
    def test_a_file_whose_creator_was_killed_is_empty(self, written: bytes, tmp_path: Path) -> None:
        path = tmp_path / "journal"
        path.write_bytes(written)
        with pc.Journal(path) as journal:
            journal.append(b"one")
        assert data_of(path) == [b"one"]
        assert damages(path) == []


def test_the_greatest_length() -> None:
    assert MAX_RECORD == 2**32 - 1
