from __future__ import annotations

import pickle
import threading
from base64 import b64decode
from pathlib import Path

import pytest

from parcount.studies.scale.target import parse_target, pickle_target


def test_a_module_a_file_and_a_statement() -> None:
    module = parse_target("package.work:Class.parse", "x = 1", "(x, 2)")
    assert (module.request["kind"], module.request["module"], module.request["name"]) == (
        "import",
        "package.work",
        "Class.parse",
    )
    assert (module.request["args"], module.request["setup"]) == ("(x, 2)", "x = 1")
    assert module.path == (str(Path.cwd()),)

    file = parse_target("folder/script.py:crunch")
    assert (file.request["kind"], file.request["name"]) == ("file", "crunch")
    assert file.request["path"] == str(Path.cwd() / "folder" / "script.py")
    assert file.path == (str(Path.cwd() / "folder"),)

    statement = parse_target("zlib.compress(data)", "import zlib; data = b''")
    assert (statement.request["kind"], statement.request["statement"]) == ("statement", "zlib.compress(data)")
    assert all(target.portable for target in (module, file, statement))


def test_what_looks_like_a_function_and_is_a_statement() -> None:
    for text in ("x = {1: 2}", "d['a']", "lambda: None", "for i in x: f(i)"):
        assert parse_target(text).request["kind"] == "statement"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("",), "the target is empty"),
        (("json.dumps",), "'json.dumps' calls nothing: a function is written json:dumps"),
        (("work.py",), "which function"),
        (("f(",), "the statement is not valid Python"),
        (("f()", "\nx ="), "the setup is not valid Python in line 2"),
        (("f()", None, "1"), "--args is for functions"),
        (("a:f", None, "1 +"), "--args is not valid Python"),
        (("a\0",), "not valid Python"),
    ],
)
def test_what_is_none(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_target(*words)


def test_a_function_of_this_process_is_pickled_by_value() -> None:
    base = 40
    target = pickle_target(lambda x, y=1: base + x + y, (1,), {"y": 2}, None)
    assert target.text.endswith("lambda")
    assert not target.portable
    function, args, kwargs, setup = pickle.loads(b64decode(target.request["data"]))
    assert function(*args, **kwargs) == 43
    assert setup is None


def test_what_is_not_callable() -> None:
    with pytest.raises(TypeError, match="the function must be callable, not int"):
        pickle_target(7, (), {}, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="setup must be callable, not str"):
        pickle_target(len, ("",), {}, "x = 1")  # type: ignore[arg-type]


def test_what_cannot_be_pickled() -> None:
    target = pickle_target(len, (lock := threading.Lock(),), {}, None)
    assert "cannot be sent to another process: cannot pickle" in target.unsent
    assert target.request["content"] == (len, (lock,), {}, None)
