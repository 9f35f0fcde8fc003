"""One byte form for everything that is hashed or signed: RFC 8785. No I/O.

Source: RFC 8785 (JSON Canonicalization Scheme, 2020). msgspec's sorted encoding is the same bytes as long as
object keys are ASCII and there are no floats, which `encode` makes sure of; a test holds it to another
implementation.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from wbgql.errors import UsageError

T = TypeVar("T")

_PREFIX = "sha256:"


def encode(value: Any) -> bytes:
    """Return the canonical bytes of a Struct or of plain JSON data.

    Raises:
        UsageError: a float (its digits differ between languages) or a key that is not ASCII.
    """
    plain = msgspec.to_builtins(value)
    _check(plain)
    try:
        return msgspec.json.encode(plain, order="sorted")
    except UnicodeEncodeError as error:
        raise UsageError("a text with half a surrogate pair has no canonical form") from error


def digest(value: Any) -> str:
    """Return `sha256:` and 64 hex digits over the canonical bytes."""
    return digest_of_bytes(encode(value))


def digest_of_bytes(content: bytes) -> str:
    """Return `sha256:` and 64 hex digits over bytes as they are."""
    return f"{_PREFIX}{hashlib.sha256(content).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether a text is a digest as `digest` writes it."""
    rest = text.removeprefix(_PREFIX)
    return len(rest) == 64 and rest != text and all(digit in "0123456789abcdef" for digit in rest)


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not key.isascii():
                raise UsageError(f"key {key!r} is not ASCII: it has no canonical place")
            _check(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check(item)
    elif isinstance(value, float):
        raise UsageError("a float has no canonical form here: write an integer or a text")
