"""Turns what a user compares a field with into a plain value, or says what to write instead. No I/O."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime

from wbgql.errors import FilterError
from wbgql.expressions.nodes import FieldPath, Op, RelativeTime, Scalar
from wbgql.patterns import Pattern, compile_pattern

# Source: wandb-workspaces `expr.py` and wandb SDK `apis/public/runs.py` (2026-08).
STATES = ("running", "finished", "crashed", "failed", "killed", "pending", "preempting", "preempted")

ORDERINGS = frozenset({Op.GT, Op.GE, Op.LT, Op.LE})
_INT64 = 2**63
_INFINITIES = {math.inf: '"Infinity"', -math.inf: '"-Infinity"'}


def make_operand(path: FieldPath, op: Op, value: object) -> Scalar:
    """Return `value` as the plain value that a condition on `path` holds.

    Infinities become the strings that W&B stores, instants an aware `datetime` in UTC.

    Raises:
        FilterError: the comparison cannot be meant, or the server would misread it.
    """
    where = f"{path} {op}"
    if path.is_date:
        return _instant(where, value)
    if path.is_tags:
        raise _no_tags_operand(value)
    scalar = _scalar(where, op, value)
    if path.section == "run":
        _check_attribute(path, op, scalar)
    return scalar


def make_operands(path: FieldPath, op: Op, values: object) -> tuple[Scalar, ...]:
    """Return the members of an `in` list, each checked as by `make_operand`."""
    if path.is_tags:
        raise _no_tags_operand(values)
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
        raise FilterError(f"{path} {op} {values!r}: write a list of values")
    return tuple(make_operand(path, Op.EQ, value) for value in values)


def make_text(path: FieldPath, op: Op, value: object) -> str:
    """Return the text that `contains` or `matches` looks for."""
    if not isinstance(value, str) or not value:
        raise FilterError(f"{path}.{op}({value!r}): write a text that is not empty, or {path} != None")
    text = check_text(f"{path}.{op}", value)
    if op is Op.MATCHES:
        check_pattern(f"{path}.{op}", text)
    return text


def check_text(where: str, value: str) -> str:
    """Return `value` as a plain `str` that can be sent; lone surrogates cannot."""
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError(
            f"{where}: {text!r} is not valid Unicode text, remove the lone surrogate"
        ) from error
    return text


def check_key(where: str, key: object) -> str:
    """Return `key` as a plain `str`, or raise FilterError where it cannot name anything."""
    if not isinstance(key, str) or not key:
        raise FilterError(f"{where}[{key!r}]: a key is text and not empty")
    return check_text(f"{where}[...]", key)


def check_pattern(where: str, pattern: str) -> Pattern:
    """Return the compiled pattern, or raise FilterError where it is broken."""
    try:
        return compile_pattern(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"{where}: {pattern!r} is no regular expression here, {error}") from error


def check_state(where: str, value: object) -> None:
    """Raise FilterError unless `value` is a state that W&B has."""
    if value in STATES:
        return
    near = difflib.get_close_matches(str(value).lower(), STATES, n=1)
    known = f"write {near[0]!r}" if near else f"known are {', '.join(STATES)}"
    raise FilterError(f"{where} {value!r}: no such state, {known}")


def _no_tags_operand(value: object) -> FilterError:
    # A list compared with tags is answered with HTTP 500 (wandb/wandb#4068, open in 2026).
    return FilterError(
        f"tags compared with {value!r}: write tags.has(x), has_any, has_all or has_none([...])"
    )


def _scalar(where: str, op: Op, value: object) -> str | int | float | bool:
    if isinstance(value, bool):
        if op in ORDERINGS:
            raise FilterError(f"{where} {value!r}: true and false have no order, write == {value!r}")
        return value
    if isinstance(value, str):
        return check_text(where, value)
    if isinstance(value, numbers.Real):
        return _number(where, op, value)
    raise _refusal(where, value)


def _number(where: str, op: Op, value: numbers.Real) -> int | float | str:
    if isinstance(value, numbers.Integral):
        if not -_INT64 <= int(value) < _INT64:
            raise FilterError(f"{where}: the integer does not fit 64 bits, write it as a float")
        return int(value)
    number = float(value)
    if math.isnan(number):
        raise FilterError(f"{where} nan: nothing equals NaN, write .is_nan()")
    if math.isinf(number) and op in ORDERINGS:
        raise FilterError(
            f"{where} {number!r}: infinities are stored as text and have no order, write =="
            f" {_INFINITIES[number]}"
        )
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _refusal(where: str, value: object) -> FilterError:
    if value is None:
        return FilterError(
            f"{where} None: null has no order and belongs in no list, write f == None or f != None"
        )
    if isinstance(value, (datetime, date, RelativeTime)):
        return FilterError(
            f"{where} {value!s}: config and summary hold text and numbers, write what was logged"
            ' (summary["_timestamp"] is in Unix seconds)'
        )
    if isinstance(value, (list, tuple, set, frozenset)):
        return FilterError(
            f"{where} {value!r}: the server cannot compare lists, write .in_([...]) for one of several;"
            " the client can, with client_side=True in the field and in the call"
        )
    if isinstance(value, dict):
        return FilterError(f'{where} {value!r}: the server cannot compare objects, go into it with f["key"]')
    if type(value).__module__.startswith("wbgql."):
        return FilterError(f"{where} {value!r}: a field can only be compared with a value, not with a field")
    return FilterError(f"{where} {value!r}: {type(value).__name__} has no JSON form, write text or a number")


def _instant(where: str, value: object) -> datetime | RelativeTime:
    if isinstance(value, RelativeTime):
        return value
    if isinstance(value, str):
        return _utc(where, _parsed(where, value))
    if isinstance(value, datetime):
        return _utc(where, value)
    if isinstance(value, date):
        raise FilterError(
            f"{where} {value!s}: a date without time and zone is ambiguous, write a datetime in UTC"
        )
    if value is None:
        raise _refusal(where, value)
    raise FilterError(f'{where} {value!r}: write a datetime with a zone, "2026-01-31T12:00:00Z" or ago("7d")')


def _parsed(where: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise FilterError(
            f'{where} {text!r}: not an ISO-8601 instant, write "2026-01-31T12:00:00Z"'
        ) from error


def _utc(where: str, instant: datetime) -> datetime:
    # Without the zone, heartbeatAt matched nothing on one server and was read as UTC on others (2026).
    if instant.tzinfo is None:
        raise FilterError(f"{where} {instant.isoformat()!r}: no time zone, add Z or tzinfo=UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise FilterError(f"{where} {instant.isoformat()!r}: outside the years 1 to 9999 in UTC") from error


def _check_attribute(path: FieldPath, op: Op, value: str | int | float | bool) -> None:
    where = f"{path} {op}"
    if path.parts[0] == "duration_s":
        if isinstance(value, (str, bool)):
            raise FilterError(f"{where} {value!r}: duration_s is a finite number of seconds")
        return
    if not isinstance(value, str):
        raise FilterError(f'{where} {value!r}: {path} is text, write "{value}"')
    if path.parts[0] == "state":
        if op in ORDERINGS:
            raise FilterError(f"{where} {value!r}: states have no order, write == or in_([...])")
        check_state(where, value)
