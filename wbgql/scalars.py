"""W&B's wire scalars: JSON texts with bare NaN, instants, opaque ids. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import math
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}

NON_FINITE_TEXTS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The texts that W&B stores for numbers which JSON does not have.

Source: wandb SDK 0.31.0 `util.make_safe_for_json` (2026-11)."""


Count = Annotated[int, msgspec.Meta(le=2**53)]
"""A number of things in an answer: what is greater than floats can count is refused when it is decoded."""

MAX_LEVELS = 256
"""A JSON value that is nested deeper cannot be read: what walks through it would run out of stack."""


def parse_json(text: str | bytes) -> Any:
    """Decode JSON text as W&B sends it; bare NaN and infinities become floats.

    The quick decoder refuses a bare NaN, which the SDK writes into summaries and
    history, so such a text is read a second time by the standard library's.

    Raises:
        ValueError: the text is not JSON even so, or nested deeper than `MAX_LEVELS`.
    """
    try:
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_LEVELS} levels") from error
    if may_be_deeper(text, MAX_LEVELS) and is_deeper(value, MAX_LEVELS):
        raise ValueError(f"nested deeper than {MAX_LEVELS} levels")
    return value


def may_be_deeper(text: str | bytes, levels: int) -> bool:
    """Whether a JSON text has the brackets that more than `levels` levels take; quick where it has not."""
    if len(text) <= 2 * levels:
        return False
    if isinstance(text, str):
        return text.count("{") + text.count("[") > levels
    return text.count(b"{") + text.count(b"[") > levels


def is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and arrays are nested in a JSON value more than `levels` deep."""
    level = [value] if isinstance(value, (dict, list)) else []
    while level and levels:
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in inner for item in items if isinstance(item, (dict, list))]
        levels -= 1
    return bool(level)


def is_encodable(value: Any) -> bool:
    """Whether no text in a JSON value holds half a surrogate pair, as an escape in JSON may."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def to_safe_json(value: Any) -> Any:
    """Return `value` with NaN and infinities as the strings W&B stores, and NumPy's numbers as Python's.

    Source: wandb SDK `util.make_safe_for_json`: "NaN", "Infinity", "-Infinity" (2026-08).
    """
    if isinstance(value, float) and not math.isfinite(value):
        return _NON_FINITE.get(value, "NaN")
    if isinstance(value, dict):
        return {str(key): to_safe_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_safe_json(item) for item in value]
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return to_safe_json(value.item())
    return value


def dump_json(value: Any) -> str:
    """Encode to compact JSON text; non-finite numbers become the strings W&B stores.

    Raises:
        TypeError: a value has no JSON form.
    """
    return json.dumps(to_safe_json(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse_datetime(text: str) -> datetime:
    """Read an ISO-8601 instant; one without a zone is UTC, as older servers send it.

    Raises:
        ValueError: not an ISO-8601 instant.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def format_datetime(instant: datetime) -> str:
    """Write an aware instant as UTC with `Z`; whole seconds carry no fraction.

    A filter value without the `Z` matches nothing on some servers (2026, third-party reports).

    Raises:
        ValueError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def same_instant(one: str, other: str) -> bool:
    """Whether two times are the same, however they are written. What is no time equals only itself."""
    if one == other:
        return True
    try:
        return parse_datetime(one) == parse_datetime(other)
    except ValueError:
        return False


def make_run_storage_id(entity: str, project: str, run_id: str) -> str:
    """Build GraphQL's `Run.id`: base64 of `Run:v1:<run id>:<project>:<entity>`.

    Source: the SDK builds it itself in `sdk/launch/sweeps/scheduler.py` (2026-08).
    """
    return binascii.b2a_base64(f"Run:v1:{run_id}:{project}:{entity}".encode(), newline=False).decode()


def parse_run_storage_id(storage_id: str) -> tuple[str, str, str] | None:
    """Return (entity, project, run id) of a storage id, or None if it is not one.

    A run id may itself hold colons; project and entity are the last two parts.
    """
    parts = parse_id(storage_id)
    if parts is None or len(parts) < 5 or parts[0] not in ("Run", "BucketType") or parts[1] != "v1":
        return None
    return parts[-1], parts[-2], ":".join(parts[2:-2])


def parse_id(text: str) -> list[str] | None:
    """Return the parts of one of GraphQL's ids, or None if it cannot be decoded.

    An id is base64 of `Type:rest`. Clients decode ids; no server promises the form.
    """
    try:
        return base64.b64decode(text, validate=True).decode().split(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 inside
        return None


def from_safe_json(value: Any) -> Any:
    """Return a JSON value with the texts NaN, Infinity and -Infinity, anywhere in it, as floats."""
    if isinstance(value, str):
        return NON_FINITE_TEXTS.get(value, value)
    if isinstance(value, list):
        return [from_safe_json(item) for item in value]
    if isinstance(value, dict):
        return {key: from_safe_json(item) for key, item in value.items()}
    return value


def holds_non_finite(text: str) -> bool:
    """Whether a JSON text may hold one of these texts; quick, for those that do not."""
    return 'NaN"' in text or 'Infinity"' in text


# What a spreadsheet takes for the beginning of a formula, also behind blanks, marks that are not seen, and in
# the wide and small forms that it reads as the same signs. Written for RE2.
# Source: OWASP, CSV Injection (2026); the Unicode forms of = + - @.
FORMULA_PATTERN = (
    "^[\\p{Z}\\p{Cc}\\p{Cf}]*[=+\\-@\\x{FF1D}\\x{FF0B}\\x{FF0D}\\x{FF20}\\x{FE66}\\x{FE62}\\x{FE63}\\x{FE6B}\\x{2212}]"
    "|^[\\t\\r\\n]"
)
_FORMULA_SIGNS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take a cell with this text for a formula; the same as `FORMULA_PATTERN`."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    seen = next((char for char in text if unicodedata.category(char)[0] not in "ZC"), "")
    return seen in _FORMULA_SIGNS
