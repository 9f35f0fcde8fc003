"""MongoDB's tests on the values that one key leads to. No I/O.

Source: MongoDB manual, query predicates (2026): type bracketing, arrays tested member by member,
null equal to missing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from wbgql.errors import FilterError
from wbgql.filters.linting import MAX_DEPTH, read_pattern

MISSING = object()
"""Stands for the value of a key that is not there."""

Values: TypeAlias = list[object]
Test: TypeAlias = Callable[[Values], bool]
Reader: TypeAlias = Callable[[object, str], object]
Predicate: TypeAlias = Callable[[object], bool]
_Build: TypeAlias = Callable[["Maker", Any, Mapping[object, object], str, int], Test]

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_BRACKETS = {type(None): "null", bool: "bool", int: "number", float: "number", str: "text", datetime: "date"}


class Maker:
    """Makes tests. `read` turns an operand into what the values are; `nested` compiles a whole filter."""

    def __init__(self, read: Reader, nested: Callable[[object, str, int], Predicate]) -> None:
        self.read = read
        self.nested = nested

    def make(self, value: object, where: str, depth: int) -> Test:
        """Return the test that `{key: value}` asks for, every operator in it checked.

        Raises:
            FilterError: an unknown operator or an operand it cannot take.
        """
        if depth > MAX_DEPTH:
            raise FilterError(f"{where[:80]}...: nested deeper than {MAX_DEPTH} levels")
        if not isinstance(value, Mapping) or not has_operators(value):
            return _equal(self.read(value, where))
        if "$options" in value and "$regex" not in value:
            raise FilterError(f"{where}.$options: belongs beside $regex")
        tests = [self._one(name, value, f"{where}.{name}", depth) for name in value if name != "$options"]
        return lambda values: all(test(values) for test in tests)

    def _one(self, name: object, beside: Mapping[object, object], where: str, depth: int) -> Test:
        build = _BUILDERS.get(str(name))
        if build is None:
            raise FilterError(f"{where}: unknown operator, so this cannot be checked")
        return build(self, beside[name], beside, where, depth)

    def members(self, operand: object, where: str) -> list[object]:
        """Return the operands of a list, each read."""
        if not isinstance(operand, (list, tuple)):
            raise FilterError(f"{where}: {operand!r} is not a list")
        return [self.read(member, where) for member in operand]


def has_operators(value: Mapping[object, object]) -> bool:
    """Whether an object is a test rather than a value to compare with."""
    return any(isinstance(name, str) and name.startswith("$") for name in value)


def same(left: object, right: object) -> bool:
    """Whether two values are equal and of one kind: 1 equals 1.0, true equals neither."""
    if _bracket(left) != _bracket(right):
        return False
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def _bracket(value: object) -> str:
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, (list, tuple)):
        return "array"
    return _BRACKETS.get(type(value), type(value).__name__)


class _Whole(tuple[object, ...]):
    """An array that is itself a member of one, which `$elemMatch` does not look into."""

    __slots__ = ()


def _each(values: Values) -> Iterator[object]:
    """Yield the values, and the members of those that are arrays."""
    for value in values:
        yield value
        if isinstance(value, (list, tuple)) and not isinstance(value, _Whole):
            yield from value


def _equal(operand: object) -> Test:
    if operand is None:
        return lambda values: any(value is None or value is MISSING for value in _each(values))
    return lambda values: any(same(value, operand) for value in _each(values))


def _any_equal(operands: list[object]) -> Test:
    tests = [_equal(operand) for operand in operands]
    return lambda values: any(test(values) for test in tests)


def _negated(test: Test) -> Test:
    return lambda values: not test(values)


def _ordering(compare: Callable[[Any, Any], bool], *, or_equal: bool) -> _Build:
    def build(maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, _depth: int) -> Test:
        bound = maker.read(operand, where)
        if bound is None:
            return _equal(None) if or_equal else lambda _values: False
        bracket = _bracket(bound)
        if bracket in ("object", "array"):
            raise FilterError(f"{where}: {operand!r} has no order here")
        return lambda values: any(
            _bracket(value) == bracket and compare(value, bound) for value in _each(values)
        )

    return build


def _exists(_maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, _depth: int) -> Test:
    if not isinstance(operand, (bool, int)):
        raise FilterError(f"{where}: {operand!r} is neither true nor false")
    wanted = bool(operand)
    return lambda values: any(value is not MISSING for value in values) is wanted


def _regex(_maker: Maker, operand: Any, beside: Mapping[object, object], where: str, _depth: int) -> Test:
    options = beside.get("$options", "")
    if not isinstance(options, str) or set(options) - _FLAGS.keys():
        raise FilterError(f"{where}: $options {options!r}, write letters out of imsx")
    flags = 0
    for letter in options:
        flags |= _FLAGS[letter]
    pattern = read_pattern(operand, where, flags)
    return lambda values: any(isinstance(value, str) and pattern.search(value) for value in _each(values))


def _contains(_maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, _depth: int) -> Test:
    if not isinstance(operand, str):
        raise FilterError(f"{where}: {operand!r} is not text")
    return lambda values: any(isinstance(value, str) and operand in value for value in _each(values))


def _not(maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, depth: int) -> Test:
    if not isinstance(operand, Mapping) or not has_operators(operand):
        raise FilterError(f"{where}: {operand!r} holds no operator")
    return _negated(maker.make(operand, where, depth + 1))


def _all(maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, _depth: int) -> Test:
    tests = [_equal(member) for member in maker.members(operand, where)]
    return lambda values: bool(tests) and all(test(values) for test in tests)


def _size(_maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, _depth: int) -> Test:
    if not isinstance(operand, int) or isinstance(operand, bool) or operand < 0:
        raise FilterError(f"{where}: {operand!r} is not a length")
    return lambda values: any(isinstance(value, (list, tuple)) and len(value) == operand for value in values)


def _elem_match(maker: Maker, operand: Any, _beside: Mapping[object, object], where: str, depth: int) -> Test:
    if not isinstance(operand, Mapping):
        raise FilterError(f"{where}: {operand!r} is not an object")
    if has_operators(operand):
        test = maker.make(operand, where, depth + 1)
        return lambda values: any(test([_whole(member)]) for member in _array_members(values))
    predicate = maker.nested(operand, where, depth + 1)
    return lambda values: any(
        isinstance(member, Mapping) and predicate(member) for member in _array_members(values)
    )


def _whole(member: object) -> object:
    return _Whole(member) if isinstance(member, (list, tuple)) else member


def _array_members(values: Values) -> Iterator[object]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from value


_BUILDERS: Mapping[str, _Build] = MappingProxyType(
    {
        "$eq": lambda maker, operand, _beside, where, _depth: _equal(maker.read(operand, where)),
        "$ne": lambda maker, operand, _beside, where, _depth: _negated(_equal(maker.read(operand, where))),
        "$in": lambda maker, operand, _beside, where, _depth: _any_equal(maker.members(operand, where)),
        "$nin": lambda maker, operand, _beside, where, _depth: _negated(
            _any_equal(maker.members(operand, where))
        ),
        "$gt": _ordering(operator.gt, or_equal=False),
        "$gte": _ordering(operator.ge, or_equal=True),
        "$lt": _ordering(operator.lt, or_equal=False),
        "$lte": _ordering(operator.le, or_equal=True),
        "$exists": _exists,
        "$regex": _regex,
        "$contains": _contains,
        "$not": _not,
        "$all": _all,
        "$size": _size,
        "$elemMatch": _elem_match,
    }
)
