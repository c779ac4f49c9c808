"""The part of JSON Schema that result files need, with messages for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "object": ("an object", (dict,)),
    "array": ("a list", (list,)),
    "string": ("text", (str,)),
    "boolean": ("true or false", (bool,)),
    "integer": ("an integer", (int,)),
    "number": ("a number", (int, float)),
    "null": ("null", (type(None),)),
}
"""The types of JSON: what a message calls each, and what it is in Python."""


def known_part(value: Any, schema: Mapping[str, Any], where: str = "", root: Mapping[str, Any] | None = None) -> Any:
    """Check parsed JSON, and return it without the fields that the schema does not know.

    A file of a later version may have such fields.

    Parameters
    ----------
    value : object
        Parsed JSON.
    schema : mapping
        A JSON Schema with the keywords ``type``, ``enum``, ``const``, ``minimum``, ``exclusiveMinimum``, ``maximum``,
        ``minItems``, ``maxItems``, ``items``, ``required``, ``properties``, ``additionalProperties`` if it is a schema,
        ``oneOf`` of ``null`` and another, and ``$ref`` to ``$defs``. Others are ignored.
    where : str
        The name of the value, for messages.
    root : mapping, optional
        The schema that has the ``$defs``.

    Raises
    ------
    ValueError
        If it does not fit the schema.

    Examples
    --------
    >>> known_part({"a": 1, "later": 2}, {"type": "object", "properties": {"a": {"type": "integer"}}})
    {'a': 1}
    >>> known_part([1, None], {"type": "array", "items": {"type": "integer"}}, "seconds")
    Traceback (most recent call last):
        ...
    ValueError: seconds[1] must be an integer, not null
    """
    root = schema if root is None else root
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        if value is None:
            return None
        (schema,) = (one for one in schema["oneOf"] if one.get("type") != "null")
        return known_part(value, schema, where, root)
    _check_value(value, schema, where or "it")
    if isinstance(value, list):
        return [known_part(one, schema.get("items", {}), f"{where}[{index}]", root) for index, one in enumerate(value)]
    if isinstance(value, dict):
        prefix = f"{where}." if where else ""
        for name in schema.get("required", ()):
            if name not in value:
                raise ValueError(f"{prefix}{name} is missing")
        others = schema.get("additionalProperties")
        fields = {**dict.fromkeys(value, others), **schema.get("properties", {})}
        return {
            name: known_part(one, fields[name], f"{prefix}{name}", root)
            for name, one in value.items()
            if isinstance(fields[name], dict)
        }
    return value


def _check_value(value: Any, schema: Mapping[str, Any], where: str) -> None:
    """Raise ValueError unless a value is of the type and in the range of a schema."""
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else types
    if types and not any(_is_of(value, name) for name in types):
        raise ValueError(f"{where} must be {' or '.join(TYPES[name][0] for name in types)}, not {_shown(value)}")
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and (type(value), value) not in [(type(one), one) for one in allowed]:
        raise ValueError(f"{where} must be one of {', '.join(map(_shown, allowed))}, not {_shown(value)}")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} has half a character") from None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:
            raise ValueError(f"{where} must be a finite number")
        low, high = schema.get("minimum", -sys.float_info.max), schema.get("maximum", sys.float_info.max)
        if not low <= value <= high or ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]):
            raise ValueError(f"{where} is out of range: {_shown(value)}")
    elif isinstance(value, list) and not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        raise ValueError(f"{where} has the wrong length")


def _is_of(value: Any, name: str) -> bool:
    """Whether a value is of a type; Python's booleans are integers, those of JSON are not."""
    return isinstance(value, TYPES[name][1]) and not (isinstance(value, bool) and name != "boolean")


def _shown(value: Any) -> str:
    """Return a value for a message: not all of a long one."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
