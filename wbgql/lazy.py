"""Lists that are read as they are used, and what they answer where Python asks for a length. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from wbgql.errors import NotRead

T = TypeVar("T")


class Lazy:
    """A list that is read as it is used: it has no length, no truth value and no places.

    Each of these raises `NotRead`, which says how to get the answer, and sends nothing. `list()`, `tuple()`
    and `sorted()` ask for a length first and go on without one.
    """

    _COUNT = "`len(list(...))` reads it to its end"
    _ANY = "`next(iter(...), None)` reads the first page and gives the first of it, or None"
    _PLACE = "`list(...)` reads it to its end, `itertools.islice(..., 3)` as far as is needed"

    def __len__(self) -> int:
        raise NotRead(f"{self!r} has no length before it is read: {self._COUNT}")

    def __bool__(self) -> bool:
        raise NotRead(f"{self!r} is neither true nor false before it is read: {self._ANY}")

    def __getitem__(self, place: Any) -> Any:
        raise NotRead(f"{self!r} has no place {place!r} before it is read: {self._PLACE}")


class LazyList(Lazy, Iterator[T]):
    """What a method of the client yields, lazily and once; iterating again goes on where it stopped.

    `what` names it in `repr` and in errors, `items` are what comes.
    """

    _COUNT = "`len(list(...))` reads it to its end; it can be read once"
    _ANY = "`next(..., None)` reads the first page and gives the first of it, or None"

    def __init__(self, what: str, items: Iterator[T]) -> None:
        self._what = what
        self._items = items

    def __next__(self) -> T:
        return next(self._items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._what}, read as it is used>"


def described(name: str, path: object, **asked: Any) -> str:
    """Return what a lazy list is of: `name('path', key=value, ...)`, without what was not asked for."""
    given = [f"{key}={value!r}" for key, value in asked.items() if value not in (None, (), {}, "")]
    return f"{name}({', '.join((repr(str(path)), *given))})"
