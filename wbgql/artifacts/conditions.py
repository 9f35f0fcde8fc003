"""Conditions on the metadata of artifact versions: a value, or a test such as `{"$gt": 0.4}`. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from wbgql.errors import FilterError, UnknownKeyWarning
from wbgql.filters import make_matcher

_NAMED_AT_MOST = 3


def check_metadata(conditions: Mapping[str, Any]) -> None:
    """Check every condition before anything is sent.

    Raises:
        FilterError: a key is no key, or a test has an operator that is not known.
    """
    for key, wanted in conditions.items():
        if not isinstance(key, str) or not key or key.startswith("$"):
            raise FilterError(
                f'metadata: {key!r} is no key of metadata, write {{"key": value}} or {{"key": {{"$gt": 0}}}}'
            )
        _holds(key, wanted, {})


def metadata_holds(conditions: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether metadata meets every condition.

    A key is looked up as it is, then as nesting at its dots. A condition is a value to equal (a list also
    holds if a member equals it), or a test with the operators of filters. Only None and `$exists: false`
    and other negative tests hold for a missing key.
    """
    return all(_holds(key, wanted, values) for key, wanted in conditions.items())


def served_conditions(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions that the server may decide: a plain key that equals a text, a number or a boolean.

    It reads a dot as nesting, and what it makes of tests and of lists is not documented.
    """
    return {
        f"metadata.{key}": wanted
        for key, wanted in conditions.items()
        if "." not in key and isinstance(wanted, (str, int, float))
    }


def unknown_metadata(
    conditions: Mapping[str, Any], seen: Mapping[str, Any], whose: str
) -> list[UnknownKeyWarning]:
    """Return a warning for each key that none of the versions has. `seen`: their metadata, put together."""
    found = []
    for key in conditions:
        if _dig(seen, key) is not None:
            continue
        near = get_close_matches(key, seen, n=_NAMED_AT_MOST)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        found.append(UnknownKeyWarning(f"no version of {whose} has metadata {key!r}{hint}", near))
    return found


def _holds(key: str, wanted: Any, values: Mapping[str, Any]) -> bool:
    try:
        matches = make_matcher({"value": wanted}, dialect="mongodb")
    except FilterError as error:
        said = str(error).replace("$.value", f"metadata {key!r}", 1)
        raise FilterError(said) from error
    found = _dig(values, key)
    return matches({} if found is None else {"value": found})


def _dig(values: Any, key: str) -> Any:
    if isinstance(values, Mapping) and key in values:
        return values[key]
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
