"""What is wrong with a raw filter before it is sent, by the place inside it. No I/O."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from types import MappingProxyType

from wbgql.errors import FilterError
from wbgql.filters.columns import COLUMNS, STATES, check_key, column_of
from wbgql.patterns import Pattern, compile_pattern, not_in_re2

MAX_DEPTH = 50

_LOGIC = frozenset({"$and", "$or", "$nor"})
_ORDERINGS = frozenset({"$gt", "$gte", "$lt", "$lte"})
# Source: wandb SDK 0.31.0 `apis/public/api.py`; $contains: wandb/skills WANDB_SDK.md (2026-06).
_TESTS = _ORDERINGS | {"$eq", "$ne", "$in", "$nin", "$exists", "$regex", "$contains", "$options"}
_REFUSED = MappingProxyType(
    {
        "$not": 'write {"$or": [{key: null}, {"$nor": [{key: ...}]}]}',
        "$all": 'write {"$and": [{key: "a"}, {key: "b"}]}',
        "$size": "fetch the runs and count there",
        "$elemMatch": "write the tests on the key itself",
    }
)


def lint_filter(filters: object) -> list[str]:
    """Return warnings about a raw filter: slow, or read differently by different servers.

    An empty filter, which matches every run, is no mistake here.

    Raises:
        FilterError: the server would refuse it or silently match nothing; the message
            starts with the place, as in `$.$and[0].id`.
    """
    return list(dict.fromkeys(_lint_object(filters, "$", frozenset(), 0)))


def _lint_object(value: object, where: str, guarded: frozenset[str], depth: int) -> Iterator[str]:
    if not isinstance(value, Mapping):
        raise FilterError(f"{where}: {value!r} is not an object, write {{key: value}}")
    if depth > MAX_DEPTH:
        raise FilterError(f"{where[:80]}...: nested deeper than {MAX_DEPTH} levels, flatten it or use $in")
    guarded = guarded | {key for key, test in value.items() if _excludes_null(test)}
    for key, test in value.items():
        if not isinstance(key, str):
            raise FilterError(f"{where}: key {key!r} is not text, JSON keys are")
        if key.startswith("$"):
            yield from _lint_logic(key, test, f"{where}.{key}", guarded, depth)
        else:
            yield from check_key(key, f"{where}.{key}")
            yield from _lint_test(key, test, f"{where}.{key}", guarded)


def _lint_logic(
    operator: str, members: object, where: str, guarded: frozenset[str], depth: int
) -> Iterator[str]:
    if operator not in _LOGIC:
        raise FilterError(f"{where}: {_no_logic(operator)}")
    if not isinstance(members, (list, tuple)):
        raise FilterError(f"{where}: {members!r} is not a list, write {{{operator!r}: [{{...}}, {{...}}]}}")
    if not members:
        yield f"{where}: an empty list, servers differ in what it matches"
    inner = guarded | {key for member in members for key in _guards(operator, member)}
    for index, member in enumerate(members):
        place = f"{where}[{index}]"
        if operator == "$nor":
            yield from _lint_nor(member, place, guarded)
        yield from _lint_object(member, place, inner, depth + 1)


def _lint_nor(member: object, where: str, guarded: frozenset[str]) -> Iterator[str]:
    if isinstance(member, Mapping) and any(
        key not in guarded and key[:1] != "$" and not _decides_null(test)
        for key, test in member.items()
        if isinstance(key, str)
    ):
        yield f"{where}: whether $nor holds for null differs by server, {_portable('$nor', '[p]')}"


def _guards(operator: str, member: object) -> Iterator[str]:
    """Yield the keys whose nulls another member of the list takes care of."""
    if not isinstance(member, Mapping) or len(member) != 1:
        return
    ((key, test),) = member.items()
    nulls = test is None or (isinstance(test, Mapping) and test.get("$exists") is False)
    if isinstance(key, str) and (
        (operator == "$or" and nulls) or (operator == "$and" and _excludes_null(test))
    ):
        yield key


def _excludes_null(test: object) -> bool:
    if not isinstance(test, Mapping):
        return test is not None
    return ("$ne" in test and test["$ne"] is None) or bool(test.keys() & _ORDERINGS)


def _decides_null(test: object) -> bool:
    return test is None or (isinstance(test, Mapping) and (test.keys() <= {"$exists"} or _is_not_null(test)))


def _is_not_null(test: Mapping[object, object]) -> bool:
    return test.keys() == {"$ne"} and test["$ne"] is None


def _no_logic(operator: str) -> str:
    if operator in _TESTS:
        return f'stands below a key, write {{"state": {{{operator!r}: ...}}}}'
    near = difflib.get_close_matches(operator, sorted(_LOGIC | _TESTS), n=1)
    return (
        f"no such operator, did you mean {near[0]}"
        if near
        else "no such operator, there are $and, $or and $nor"
    )


def _lint_test(key: str, test: object, where: str, guarded: frozenset[str]) -> Iterator[str]:
    if not isinstance(test, Mapping):
        yield from _lint_value(key, test, where)
        if test is None and key.startswith("config.") and key not in guarded:
            # Source: wandb/wandb#1107 (2020 to 2024).
            yield f"{where}: null finds no config values on some servers, add {{key: {{'$exists': false}}}}"
        return
    operators = [name for name in test if isinstance(name, str) and name.startswith("$")]
    if len(operators) != len(test):
        raise FilterError(f"{where}: an object cannot be compared, write {key}.name for what is inside it")
    if not test:
        raise FilterError(f"{where}: an empty object is no test, write {{'$exists': true}}")
    if "$options" in test and "$regex" not in test:
        raise FilterError(f"{where}.$options: belongs beside $regex")
    for name in operators:
        yield from _lint_operator(key, name, test[name], f"{where}.{name}", guarded)


def _lint_operator(key: str, name: str, value: object, where: str, guarded: frozenset[str]) -> Iterator[str]:
    if name in _REFUSED:
        raise FilterError(f"{where}: not known to work on W&B, {_REFUSED[name]}")
    if name in _LOGIC:
        raise FilterError(f"{where}: stands above keys, write {{{name!r}: [{{{key!r}: ...}}]}}")
    if name not in _TESTS:
        near = difflib.get_close_matches(name, sorted(_TESTS), n=1)
        raise FilterError(
            f"{where}: no such operator, did you mean {near[0] if near else ', '.join(sorted(_TESTS))}"
        )
    check = _CHECKS.get(name, _lint_value)
    yield from check(key, value, where)
    if name in ("$ne", "$nin") and value is not None and key not in guarded:
        yield f"{where}: whether it holds for null differs by server, {_portable(name, '...')}"


def _portable(name: str, test: str) -> str:
    if name == "$nor":
        return f'write {{"$or": [{{key: null}}, {{"$nor": {test}}}]}}'
    return (
        f'write {{"$or": [{{key: null}}, {{key: {{{name!r}: {test}}}}}]}} to include it,'
        f' {{"$and": [{{key: {{"$ne": null}}}}, {{key: {{{name!r}: {test}}}}}]}} to leave it out'
    )


def _lint_list(key: str, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, (list, tuple)):
        raise FilterError(f"{where}: {value!r} is not a list, write [{value!r}]")
    if not value:
        yield f"{where}: an empty list is a syntax error on some databases"
    for index, member in enumerate(value):
        if member is None:
            yield f"{where}[{index}]: null in a list differs by server, test {{key: null}} apart"
        yield from _lint_value(key, member, f"{where}[{index}]")


def _lint_ordering(key: str, value: object, where: str) -> Iterator[str]:
    if value is None or isinstance(value, bool):
        raise FilterError(f"{where}: {value!r} has no order, write $eq or $ne")
    yield from _lint_value(key, value, where)


def _lint_exists(_key: str, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, bool):
        raise FilterError(f"{where}: {value!r} is neither true nor false")
    yield from ()


def _lint_contains(_key: str, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        raise FilterError(f"{where}: {value!r}, write a text that is not empty")
    yield from ()


def _lint_regex(_key: str, value: object, where: str) -> Iterator[str]:
    read_pattern(value, where)
    if not_in_re2(str(value)):
        yield f"{where}: look-around and back references are not in RE2, some servers refuse them"
    yield f"{where}: a regular expression makes the server read every run, $contains uses an index"


def _lint_options(_key: str, value: object, where: str) -> Iterator[str]:
    if not isinstance(value, str) or set(value) - set("imsx"):
        raise FilterError(f"{where}: {value!r}, write letters out of imsx")
    yield f"{where}: not documented by W&B, check what comes back"


def read_pattern(value: object, where: str, flags: int = 0) -> Pattern:
    """Return the compiled $regex.

    Raises:
        FilterError: not text, or not a regular expression.
    """
    if not isinstance(value, str):
        raise FilterError(f"{where}: {value!r} is not text, write a regular expression")
    try:
        return compile_pattern(value, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"{where}: {value!r} is no regular expression here, {error}") from error


_CHECKS: dict[str, Callable[[str, object, str], Iterator[str]]] = {
    "$in": _lint_list,
    "$nin": _lint_list,
    "$exists": _lint_exists,
    "$contains": _lint_contains,
    "$regex": _lint_regex,
    "$options": _lint_options,
    **dict.fromkeys(_ORDERINGS, _lint_ordering),
}


def _lint_value(key: str, value: object, where: str) -> Iterator[str]:
    _check_json(key, value, where)
    column = column_of(key)
    kind = COLUMNS[column] if column else ""
    if value is None:
        return
    if kind == "date":
        yield from _check_instant(column or key, value, where)
    if kind == "state" and value not in STATES:
        near = difflib.get_close_matches(str(value).lower(), sorted(STATES), n=1)
        advice = f"did you mean {near[0]!r}" if near else f"they are {', '.join(sorted(STATES))}"
        yield f"{where}: {value!r} is no state, {advice}"


def _check_json(key: str, value: object, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        stored = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        raise FilterError(f'{where}: {value!r} is not JSON, W&B stores it as a string, write "{stored}"')
    if isinstance(value, (list, tuple)):
        raise FilterError(f"{where}: {_no_list(key)}")
    if isinstance(value, Mapping):
        raise FilterError(f"{where}: an object cannot be compared, write {key}.name for what is inside it")
    if isinstance(value, (datetime, date)):
        raise FilterError(f'{where}: {value!r} has no JSON form, write "2026-01-31T12:00:00Z"')
    if value is not None and not isinstance(value, (str, int, float)):
        raise FilterError(f"{where}: {type(value).__name__} has no JSON form, write text or a number")


def _no_list(key: str) -> str:
    if key == "tags":
        # Source: HTTP 500 (wandb/wandb#4068, 2022, open in 2026).
        return 'tags cannot equal a list, write {"$and": [{"tags": "a"}, {"tags": "b"}]}'
    return 'a list cannot be compared, write {"$in": [...]}'


def _check_instant(column: str, value: object, where: str) -> Iterator[str]:
    example = "2026-01-31T12:00:00Z"
    if not isinstance(value, str):
        raise FilterError(f'{where}: {value!r} is not an instant, write "{example}"')
    try:
        instant = datetime.fromisoformat(value)
    except ValueError as error:
        raise FilterError(f'{where}: {value!r} is not an instant, write "{example}"') from error
    if instant.tzinfo is None:
        advice = f'{value!r} has no time zone, write "{instant.isoformat()}Z"'
        if column != "createdAt":
            # Source: heartbeatAt without Z matched nothing (third-party report, 2026).
            raise FilterError(f"{where}: {advice}")
        # Source: W&B's own guide and answers write it so (wandb/wandb#2713; wandb/skills, 2026-06).
        yield f"{where}: {advice}; it is read as UTC"
