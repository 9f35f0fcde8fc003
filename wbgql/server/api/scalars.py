"""What a request may give for the SDL's own scalars. No I/O.

graphql-core takes anything for a scalar that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema

MAX_INT64 = 2**63 - 1


def _text(kind: str) -> Callable[[Any], str]:
    def coerce(value: Any) -> str:
        if not isinstance(value, str):
            raise GraphQLError(f"{kind} cannot represent a non string value: {value!r:.80}")
        return value

    return coerce


def _whole_number(kind: str) -> Callable[[Any], int]:
    def coerce(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise GraphQLError(f"{kind} cannot represent non-integer value: {value!r:.80}")
        if not -MAX_INT64 - 1 <= value <= MAX_INT64:
            raise GraphQLError(f"{kind} cannot represent non 64-bit signed integer value: {value!r:.80}")
        return value

    return coerce


_COERCERS = {
    "JSONString": _text("JSONString"),
    "DateTime": _text("DateTime"),
    "Int64": _whole_number("Int64"),
    "Duration": _whole_number("Duration"),
}


def restrict_scalars(schema: GraphQLSchema) -> None:
    """Let each scalar refuse what is not of its kind, as graphql-core's own scalars do.

    Whether a JSONString is JSON is for its resolver to say, which reads it anyway and knows what it is.
    """
    for name, coerce in _COERCERS.items():
        kind = schema.type_map[name]
        if isinstance(kind, GraphQLScalarType):
            kind.coerce_input_value = coerce
