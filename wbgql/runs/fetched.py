"""Mappings that hold a part of a run, and say so: a key that was not fetched raises. No I/O."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Self

from wbgql.documents import NOT_FETCHED
from wbgql.errors import NotFetched
from wbgql.expressions import RUN_KEYS
from wbgql.paths import RunPath

_PYTHON_NAMES = {key: name for name, key in RUN_KEYS.items()} | {"summary_metrics": "summary"}


class Partial(dict[str, Any]):
    """A dict that knows which keys were not fetched.

    `[key]`, `.get`, `in`, `.pop` and `.setdefault` raise `NotFetched` for a key that was not fetched.
    Iterating, `len`, `==`, `|` and JSON see the fetched keys. `dict(...)` gives a plain dict of them.
    """

    __slots__ = ()

    @abstractmethod
    def require(self, key: object) -> None:
        """Raise `NotFetched` if `key` was not fetched."""

    def __missing__(self, key: str) -> NoReturn:
        self.require(key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        self.require(key)
        return False

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key that was fetched, or `default` if the run has none."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove a key that was fetched and return its value."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key that was fetched; set it if the run has none."""
        if not dict.__contains__(self, key):
            self.require(key)
        return super().setdefault(key, default)


class Selected(Partial):
    """The selected keys of a run's config or summary."""

    __slots__ = ("_asked", "_path", "_section")

    _asked: tuple[str, ...]
    _path: RunPath
    _section: str

    @classmethod
    def of(cls, values: dict[str, Any], section: str, asked: tuple[str, ...], path: RunPath) -> Self:
        """Wrap the values that came for the keys `asked`."""
        made = cls(values)  # without an __init__ in Python: lists make two of these for each run
        made._section, made._asked, made._path = section, asked, path
        return made

    def require(self, key: object) -> None:
        """Raise `NotFetched` unless `select` named the key."""
        if key not in self._asked:
            raise NotFetched.key(self._path, self._section, key)

    def copy(self) -> Self:
        """Return a copy that knows the same keys."""
        return self.of(self, self._section, self._asked, self._path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()}, asked={list(self._asked)})"


class Document(Partial):
    """A run under the names that filters use; attributes that were not fetched are known."""

    __slots__ = ("_refusal", "_unfetched")

    _refusal: Callable[[str], NotFetched]
    _unfetched: tuple[str, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any], refusal: Callable[[str], NotFetched]) -> Self:
        """Wrap the values that came. None is left out; `refusal` makes the error for `NOT_FETCHED`."""
        made = cls(
            {key: value for key, value in values.items() if value is not None and value is not NOT_FETCHED}
        )
        made._unfetched = tuple([key for key, value in values.items() if value is NOT_FETCHED])
        made._refusal = refusal
        return made

    def require(self, key: object) -> None:
        """Raise `NotFetched` if the attribute or section was not fetched."""
        if key in self._unfetched:
            raise self._refusal(_PYTHON_NAMES[str(key)])
