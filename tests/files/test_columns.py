"""Columns of files: separated values, JSON lines and Parquet."""

import codecs
import json
import pickle
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parcount.files import driver
from parcount.files.columns import Column, Rows
from parcount.files.count import RecordError, WrongStart
from parcount.files.driver import run
from parcount.files.inputs import find_inputs
from parcount.files.values import Values
from tests.files.csv_oracle import CONTENT, column_of, rows_of

MEMORY = 16 << 20


class Bytes:
    """A source in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size = len(content)

    def read(self, position: int, size: int) -> bytes:
        return self.content[position : position + size]


def column(name: int | str, **options) -> Column:
    return Column(name, values=Values(MEMORY), **options)


def counted(count: Column, *paths: Path, threads: int = 2) -> Counter[bytes]:
    ((_, partial),) = run(count, find_inputs(map(str, paths)), threads=threads)
    return Counter(partial.result(1).to_dict())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("columns")


@pytest.fixture
def chunk_of(monkeypatch):
    """Set how many bytes chunks have, of which the driver makes no small ones."""

    def set_size(size: int) -> None:
        for name in ("MIN_CHUNK_SIZE", "MAX_CHUNK_SIZE", "HEAD_SIZE", "BLOCK_SIZE", "STREAM_BLOCK_SIZE"):
            monkeypatch.setattr(driver, name, size)

    return set_size


def in_chunks(count: Rows, content: bytes, size: int) -> Counter[bytes]:
    """Count a text in chunks of at least this size, as the driver does."""
    source, start, partial = Bytes(content), 0, count.partial()
    try:
        while start < len(content):
            end = min(start + size, len(content))
            stop = count.find_start(source, end) if end < len(content) else end
            if stop is None:
                size_now = size
                while not (taken := count.cut(memoryview(content[start : start + size_now]))):
                    if start + size_now >= len(content):
                        taken = len(content) - start
                        break
                    size_now *= 2
                stop = start + taken
            partial.update(memoryview(content[start:stop]), last=True)
            start = stop
        return Counter(partial.result(1).to_dict())
    except WrongStart:
        assert count.guesses
        return in_chunks(count.in_order(), content, size)
    finally:
        partial.close()


@given(content=CONTENT, index=st.integers(0, 3), size=st.integers(1, 50), quote=st.sampled_from([b'"', None]))
@example(b'a,"b\n\n\n\n\nc"\n' * 5, 0, 4, b'"')
@example(b'x\n"\n\n",y\n', 1, 3, b'"')
def test_chunks_of_any_size(content, index, size, quote) -> None:
    count, skip = column(index + 1, quote=quote, short_rows="empty").opened(content, complete=True, name="x.csv")
    assert skip == 3 * content.startswith(codecs.BOM_UTF8)
    expected = column_of(rows_of(content, quote='"' if quote else None), index)
    assert in_chunks(count, content, size) == expected


def test_every_guess_is_right_where_all_fields_are_quoted() -> None:
    fields = ['"two\nlines, and more"', '"a ""quote"""', '"\n"']
    rows = [",".join([f'"{number}"', *fields]).encode() + b"\n" for number in range(100)]
    ends = [*accumulate(map(len, rows))]
    content = b"".join(rows)
    count, _ = column(2).opened(content, complete=True, name="x.csv")
    for position in range(1, ends[-2] + 1):
        assert count.find_start(Bytes(content), position) == next(end for end in ends if end >= position)


def test_a_wrong_guess_is_noticed_and_the_input_counted_in_order(folder, chunk_of) -> None:
    path = folder / "wrong.csv"
    content = b'name,text\na,"' + b"b,c\n" * 200 + b'"\nd,e\n'  # without a quote nearby, the inside looks like rows
    path.write_bytes(content)
    chunk_of(64)
    count = column("name")
    partial = count.opened(content, complete=True, name="wrong.csv")[0].partial()
    with pytest.raises(WrongStart):
        partial.update(memoryview(content[:64].rpartition(b"\n")[0] + b"\n"), last=True)
    partial.close()
    assert counted(count, path) == {b"a": 1, b"d": 1}


def test_a_short_row_is_told_with_its_place(folder, chunk_of) -> None:
    path = folder / "short.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100 + b"3\n" + b"4,5\n" * 100)
    chunk_of(64)
    with pytest.raises(RecordError, match=r"short\.csv, byte 404: a row has 1 columns, not 2: b'3'"):
        counted(column("b"), path)
    assert counted(column("b", short_rows="skip"), path) == {b"2": 100, b"5": 100}
    assert counted(column("b", short_rows="empty"), path) == {b"2": 100, b"5": 100, b"": 1}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_headers(folder, chunk_of, size) -> None:
    chunk_of(size)
    path = folder / "header.csv"
    path.write_bytes(codecs.BOM_UTF8 + '\r\n"na\nme",é,é,x\r\n1,2,3,4\r\n5,6,7,8\r\n'.encode())
    assert counted(column("na\nme"), path) == {b"1": 1, b"5": 1}
    assert counted(column("x"), path) == {b"4": 1, b"8": 1}
    assert counted(column(2, header=True), path) == {b"2": 1, b"6": 1}
    assert counted(column(4), path) == {b"x": 1, b"4": 1, b"8": 1}
    with pytest.raises(ValueError, match="'é' is the name of the columns 2, 3: give a number"):
        counted(column("é"), path)
    with pytest.raises(
        ValueError, match=r"header.csv: there is no column 'y': there are 4 columns: 'na\\nme', 'é', 'é', 'x'"
    ):
        counted(column("y"), path)
    with pytest.raises(ValueError, match="there is no column 5: there are 4 columns"):
        counted(column(5, header=True), path)
    with pytest.raises(ValueError, match="without a header there is no column 'x': give its number"):
        counted(column("x", header=False), path)


def test_files_may_have_their_columns_in_different_orders(folder) -> None:
    first, second, third = folder / "1.csv", folder / "2.tsv", folder / "3.jsonl"
    first.write_bytes(b"a,b\n1,2\n")
    second.write_bytes(b"b\ta\n2\t3\n")
    third.write_bytes(b'{"c": 1, "b": "2"}\n')
    assert counted(column("b"), first, second, third) == {b"2": 3}


def test_empty_files(folder) -> None:
    path = folder / "empty.csv"
    path.write_bytes(b"")
    assert counted(column(3), path) == {}
    with pytest.raises(ValueError, match="there is no column 'a': there are 0 columns"):
        counted(column("a"), path)
    path.write_bytes(b"a,b")
    assert counted(column("a"), path) == {}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("size", [5, 64, 10_000])
def test_text_in_other_encodings(folder, chunk_of, encoding, size) -> None:
    chunk_of(size)
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
            "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}[encoding]  # fmt: skip
    text = 'näme,b\n"😀\n""x""",\u010a\nü,\u0a0d\n' + "😀😀,y\n" * 9
    path = folder / "coded.csv"
    path.write_bytes(mark + text.encode(encoding))
    for name, index in (("näme", 0), ("b", 1)):
        assert counted(column(name), path) == column_of(rows_of(text.encode())[1:], index)
    path.write_bytes(mark + "a,b\n1\n".encode(encoding))
    with pytest.raises(RecordError, match="a row has 1 columns, not 2"):
        counted(column("b"), path)
    path.write_bytes(mark + b"\0")
    with pytest.raises(RecordError, match="truncated"):
        counted(column(1), path)


def test_json_lines(folder, chunk_of) -> None:
    path = folder / "x.jsonl"
    objects = [{"a": f"é\n{number % 7}", "b": {"a": None}} for number in range(100)]
    path.write_text("\n".join(map(json.dumps, objects)))
    for size in (10, 100, 10_000):
        chunk_of(size)
        assert counted(column("a"), path) == Counter(its["a"].encode() for its in objects)
        assert counted(column("b"), path) == {b'{"a": null}': 100}
    with pytest.raises(RecordError, match=r"x\.jsonl, byte 0: an object does not have the key 'c'"):
        counted(column("c"), path)
    with pytest.raises(ValueError, match="JSON objects have keys, not numbers"):
        counted(column(1), path)
    for line, reason in (
        (b"[1]", "no JSON object"),
        (b'{"a":}', "Expecting value"),
        (b'{"a":' + b"[" * 999 + b"]" * 999 + b"}", "nested"),
    ):
        path.write_bytes(b'{"a":1}\n\n' + line + b"\n")
        with pytest.raises(RecordError, match=f"x.jsonl, byte 9: a line is .*{reason}"):
            counted(column("a"), path)


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet"])
def test_counts_can_be_pickled_and_explained(name) -> None:
    if name == "x.parquet":
        pytest.importorskip("pyarrow")
    count, _ = column("a").opened(b"a,b\n1,2\n" if name == "x.csv" else b"a\tb\n", complete=True, name=name)
    assert pickle.loads(pickle.dumps(count)) == count
    assert name in count.explain()
    assert count.in_order().explain()


def test_arguments_are_checked() -> None:
    for wrong, message in (
        ({"column": 0}, "counted from 1"),
        ({"column": 1, "delimiter": b"::"}, "one byte"),
        ({"column": 1, "quote": b"\n"}, "one byte"),
        ({"column": 1, "format": "xls"}, "csv, tsv, jsonl, parquet"),
        ({"column": 1, "short_rows": "drop"}, "error, skip, empty"),
    ):
        with pytest.raises(ValueError, match=message):
            Column(**wrong)
    with pytest.raises(ValueError, match="must differ"):
        Column(1, quote=b",").opened(b"abcd", complete=True, name="x")


class TestParquet:
    @pytest.fixture(autouse=True)
    def pyarrow(self):
        self.pa = pytest.importorskip("pyarrow")
        self.parquet = pytest.importorskip("pyarrow.parquet")

    def write(self, path, values, **options) -> None:
        table = self.pa.table({"first": range(len(values)), "a": values, "a.b": [1] * len(values)})
        self.parquet.write_table(table, path, row_group_size=10, **options)

    @pytest.mark.parametrize("dictionary", [True, False])
    def test_values_are_those_of_pyarrows_cast(self, folder, chunk_of, dictionary) -> None:
        pa = self.pa
        path = folder / "x.parquet"
        for values in (
            pa.array([f"é{number % 7}" for number in range(95)] + [None, "", "null"]),
            pa.array([number % 5 for number in range(50)] + [None], pa.int32()),
            pa.array([0.1, 1.0, 1e20, float("nan"), -0.0, None] * 9),
            pa.array([True, False, None] * 9),
            pa.array([1, 2, 3] * 9, pa.timestamp("us")),
            pa.array(["a", "b"] * 20).dictionary_encode(),
        ):
            self.write(path, values, use_dictionary=dictionary)
            expected = Counter(
                "null" if text is None else text
                for text in (values.cast(pa.string()) if values.type != pa.string() else values).to_pylist()
            )
            for size in (10, 300, 1 << 20):
                chunk_of(size)
                for name in ("a", 2):
                    found = counted(column(name), path)
                    assert found == {text.encode(): count for text, count in expected.items()}, values.type

    def test_binary_values_are_as_they_are(self, folder) -> None:
        path = folder / "binary.parquet"
        self.write(path, self.pa.array([b"\xff\0", b"", b"\xff\0"]))
        assert counted(column("a"), path) == {b"\xff\0": 2, b"": 1}
        assert counted(column("a.b"), path) == {b"1": 3}

    def test_errors(self, folder) -> None:
        path = folder / "errors.parquet"
        self.write(path, self.pa.array([[1], [2]]))
        with pytest.raises(RecordError, match=r"errors\.parquet: values of type list.* cannot be counted as text"):
            counted(column("a"), path)
        with pytest.raises(ValueError, match=r"there is no column 'x': there are 3 columns: 'first', 'a', 'a\.b'"):
            counted(column("x"), path)
        path.write_bytes(b"PAR1 and nothing else")
        with pytest.raises(ValueError, match="magic bytes"):
            counted(column("a"), path)


def test_parquet_without_pyarrow(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"Parquet needs pyarrow: pip install 'parcount\[files\]'"):
        column("a").opened(b"PAR1....", complete=True, name="-")
