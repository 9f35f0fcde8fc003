"""Decoding what callers send. No I/O."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from wbgql.errors import UsageError

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """The body of a request as `decoder` reads it.

    Raises:
        UsageError: it is not JSON, or not of that shape; `what` says what it should have been.
    """
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise UsageError(f"not {what}: nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not {what}: {error}") from error
