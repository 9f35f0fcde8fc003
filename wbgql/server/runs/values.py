"""Config and summary texts: what filters see of them, and projections by key. No I/O."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, TypeGuard

import msgspec

from wbgql.errors import UsageError
from wbgql.scalars import dump_json, is_deeper, may_be_deeper, parse_json

MAX_LEVELS = 200
"""How deep a value may be nested that is to be stored: readers can take some levels more."""
MAX_RUNTIME_S = 2**31 - 1
"""The most that an `Int` of GraphQL holds."""


def parse_object(text: str, what: str) -> dict[str, Any]:
    """Decode a JSON object that is to be stored, as the SDK sends it, bare NaN included.

    Raises:
        UsageError: not JSON, not an object, or nested deeper than `MAX_LEVELS`.
    """
    try:
        value = parse_json(text)
    except ValueError as error:
        raise UsageError(f"{what} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{what} is not a JSON object: {text[:40]!r}")
    if may_be_deeper(text, MAX_LEVELS) and is_deeper(value, MAX_LEVELS):
        raise UsageError(f"{what} is nested deeper than {MAX_LEVELS} levels")
    return value


def is_other(old: Any, new: Any) -> bool:
    """Whether a value is not the same; NaN is the same as NaN."""
    return json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Add keys to config or summary without losing one: what is null in `new` stays as it was."""
    return old | {key: value for key, value in new.items() if unwrap(value) is not None or key not in old}


def loses_keys(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether `new` lacks a key of `old`, or has null for it. The SDK's notes under `_wandb` do not count."""
    return any(
        unwrap(new.get(key)) is None and unwrap(value) is not None
        for key, value in old.items()
        if key != "_wandb"
    )


def config_values(config: dict[str, Any]) -> str:
    """The JSON text that filters on `config.*` read: no `{"value": ...}` wrapper, no NaN."""
    return _storable({key: unwrap(item) for key, item in config.items()})


def unwrap(item: Any) -> Any:
    """The value of one config entry. wandb-core sends `{"value"}`, the public API `{"value", "desc"}`."""
    return item["value"] if isinstance(item, dict) and "value" in item else item


def summary_values(summary: dict[str, Any]) -> str:
    """The JSON text that filters on `summary_metrics.*` read: no NaN."""
    return _storable(summary)


def _storable(values: dict[str, Any]) -> str:
    with contextlib.suppress(UnicodeEncodeError, OverflowError):
        encoded = msgspec.json.encode(values)
        # A number that is not finite is encoded as null, so without a null there is none.
        if b"null" not in encoded:
            return encoded.decode()
    # A lone surrogate is valid in JSON's escapes and nowhere else.
    return dump_json(values).encode(errors="replace").decode()


def runtime_s(summary: dict[str, Any]) -> float | None:
    """Seconds a run has run, from its summary; None before the SDK reports it."""
    internal = summary.get("_wandb")
    value = internal.get("runtime") if isinstance(internal, dict) else None
    value = summary.get("_runtime") if value is None else value
    return float(value) if is_finite(value) and abs(value) <= MAX_RUNTIME_S else None


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a number that a float can hold."""
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        return False


def wandb_config(config_text: str | None, keys: list[str] | None) -> str | None:
    """The `_wandb` part of a config: `{"t": {...}, ...}`, cut to `keys`.

    The SDK takes a run without `t` for one that never started (wandb SDK 0.31.0
    `core/internal/runbranch`, 2026-11).
    """
    if config_text is None:
        return None
    internal = unwrap(parse_object(config_text, "config").get("_wandb", {}))
    if not isinstance(internal, dict):
        return None
    return json.dumps(internal if keys is None else {key: internal[key] for key in keys if key in internal})


def dig(values: dict[str, Any], key: str) -> tuple[bool, Any]:
    """Find `key` literally, or else by its dots: (found, value)."""
    if key in values:
        return True, values[key]
    head, dot, rest = key.partition(".")
    while dot:
        inner = values.get(head)
        if isinstance(inner, dict):
            found, value = dig(inner, rest)
            if found:
                return True, value
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return False, None
