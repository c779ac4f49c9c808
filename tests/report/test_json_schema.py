from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.report.json_schema import known_part

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": ["integer", "null"], "minimum": 0, "maximum": 3},
        "b": {"type": "array", "items": {"$ref": "#/$defs/text"}, "minItems": 1, "maxItems": 2},
        "c": {"oneOf": [{"type": "null"}, {"type": "object", "required": ["d"], "properties": {"d": {"const": 1}}}]},
        "e": {"type": "number", "exclusiveMinimum": 0},
        "f": {"type": "boolean"},
        "g": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "$defs": {"text": {"enum": ["x", "y"]}},
}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 4) | st.sampled_from([0.5, -0.5]) | st.sampled_from(["x", "y", "z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdefg"), inner, max_size=4),
    max_leaves=6,
)


@given(values | st.fixed_dictionaries({"a": st.integers(0, 3)}, optional=dict.fromkeys("bcefg", values)))
def test_it_accepts_what_jsonschema_accepts(value: Any) -> None:
    try:
        jsonschema.validate(value, SCHEMA)
    except jsonschema.ValidationError:
        with pytest.raises(ValueError, match=r"\w"):
            known_part(value, SCHEMA)
    else:
        known_part(value, SCHEMA)


def test_fields_that_the_schema_does_not_know_are_left_out() -> None:
    value = {"a": 1, "new": 2, "c": {"d": 1, "new": 3}, "g": {"any": "text"}}
    assert known_part(value, SCHEMA) == {"a": 1, "c": {"d": 1}, "g": {"any": "text"}}
