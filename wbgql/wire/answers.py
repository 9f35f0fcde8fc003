"""What the body of an answer holds: data that is left as it came, errors in one shape. No I/O."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypedDict, TypeVar

import msgspec

from wbgql.scalars import dump_json

T = TypeVar("T")

_EXCERPT = 200
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """One GraphQL answer.

    `data` is None where it is null or absent, else of the type that was asked for, or a part of the
    body, still JSON (`msgspec.Raw`), where that did not fit or errors stand beside it.
    """

    data: Any
    errors: list[Any] | None
    extensions: Any


class _Envelope(TypedDict, total=False):
    """The outermost object of an answer. `error` is W&B's shape for what fails before GraphQL."""

    data: msgspec.Raw
    errors: Any
    error: Any
    extensions: Any


_ENVELOPE: msgspec.json.Decoder[_Envelope] = msgspec.json.Decoder(_Envelope)


class _Whole(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The same with `data` decoded on the way: a page is gone through once, not twice."""

    data: T | None = None
    errors: Any = None
    error: Any = None
    extensions: Any = None


def split_answer(body: bytes, result: Any = msgspec.Raw) -> Answer:
    """Split a body into `data`, `errors` and `extensions`; the data is decoded into `result` if it fits.

    Reads `{"data", "errors"}`, `{"error": "text"}`, `{"error": {"message"}}` and
    `{"errors": ["text"]}`. A bare NaN becomes the text that W&B stores for it, what is not
    UTF-8 the replacement character. A byte order mark is dropped.

    Raises:
        ValueError: not a JSON object, or one without any of these.

    Source: wandb SDK `core/internal/api/backenderrors.go`, `util.parse_backend_error_messages` (2026-08).
    """
    body = _in_utf8(body)
    whole = None if result is msgspec.Raw else _decode_whole(body, result)
    if whole is not None:
        return Answer(whole.data, None, whole.extensions)
    envelope = _split(body)
    if not envelope.keys() & {"data", "errors", "error"}:
        raise ValueError("no data and no errors in the answer")
    return Answer(_given(envelope.get("data")), _to_errors(envelope) or None, envelope.get("extensions"))


def make_excerpt(body: bytes) -> str:
    """Return the title of a page, or the beginning of a text, on one line."""
    text = body.decode("utf-8", "replace")
    if title := _TITLE.search(text):
        text = title.group(1)
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else f"{line[:_EXCERPT]}..."


def _in_utf8(body: bytes) -> bytes:
    body = body.removeprefix(codecs.BOM_UTF8)
    if body.isascii():  # nearly every page is, and this is ten times quicker than to decode it
        return body
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace").encode()
    return body


def _decode_whole(body: bytes, result: Any) -> _Whole[Any] | None:
    """The answer if it is nothing but data that fits; None where it wants a closer look."""
    try:
        whole = _decoder_of(result).decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if whole.data is None or whole.errors or whole.error else whole


@lru_cache(maxsize=256)
def _decoder_of(result: Any) -> msgspec.json.Decoder[_Whole[Any]]:
    return msgspec.json.Decoder(_Whole[result])


def _split(body: bytes) -> _Envelope:
    try:
        return _ENVELOPE.decode(body)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    except msgspec.DecodeError:
        return msgspec.convert(_raw_data(json.loads(body.decode())), _Envelope)


def _raw_data(envelope: Any) -> Any:
    if isinstance(envelope, dict) and "data" in envelope:
        return envelope | {"data": msgspec.Raw(dump_json(envelope["data"]).encode())}
    return envelope


def _given(data: msgspec.Raw | None) -> msgspec.Raw | None:
    # Only the beginning is copied: a page may be 7 MB.
    return None if data is None or bytes(memoryview(data)[:5]) == b"null" else data


def _to_errors(envelope: _Envelope) -> list[Any]:
    errors = envelope.get("errors") or []
    found = [*(errors if isinstance(errors, list) else [errors])]
    if error := envelope.get("error"):
        found.append(error)
    return [item if isinstance(item, dict) else {"message": str(item)} for item in found]
