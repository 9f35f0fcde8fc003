"""Filter JSON as people type it, strictly read. No I/O."""

from __future__ import annotations

import json
from typing import NoReturn

from wbgql.errors import FilterError


def parse_filter_json(text: str) -> dict[str, object]:
    """Read a filter from JSON text; NaN, infinities and a key given twice are refused.

    Raises:
        FilterError: not a JSON object; the message has the line and column.
    """
    try:
        found = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise FilterError(
            f"the filter is not JSON: {place}, {error.msg[:1].lower()}{error.msg[1:]}"
        ) from error
    except FilterError:
        raise
    except RecursionError as error:
        raise FilterError("the filter is nested too deeply: flatten it, or use $in") from error
    except (TypeError, ValueError) as error:
        raise FilterError(f"the filter is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise FilterError(
            f'the filter is a {type(found).__name__}: write an object, as in {{"state": "finished"}}'
        )
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise FilterError(f'{name} is not JSON: W&B stores it as a string, write "{name}"')


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise FilterError(
                f'{key!r} stands twice in one object: only the last would count, use {{"$and": [...]}}'
            )
        found[key] = value
    return found
