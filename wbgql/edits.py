"""What a change makes of a run's config or summary: keys set and removed, the rest kept. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from wbgql.errors import UsageError
from wbgql.scalars import dump_json, parse_json, to_safe_json

Section: TypeAlias = Literal["config", "summary"]
KeyPath: TypeAlias = str | tuple[str, ...]
"""A top-level key as it is, dots and slashes included, or the names to walk into objects."""

ABSENT: Any = msgspec.UNSET
"""Stands for a key that a run does not have; None is a null value."""

Values: TypeAlias = Mapping[str, Any] | Mapping[KeyPath, Any]
"""Values by key, or by a path into objects: `{"lr": 0.1, ("model", "depth"): 3}`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that a write changes. `before` and `after` are `ABSENT` if the key is not there."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Keys of one section to set and to remove. `replace` lets a new value drop keys of an object.

    Raises:
        UsageError: a key is empty, named twice or W&B's own, or a value has no JSON form.
    """

    section: Section
    set: Values
    unset: tuple[KeyPath, ...] = ()
    replace: bool = False

    def __post_init__(self) -> None:
        paths = [self._path(key) for key in (*self.set, *self.unset)]
        for number, path in enumerate(paths):
            for other in paths[:number]:
                if path[: len(other)] == other or other[: len(path)] == path:
                    raise UsageError(f"{self.name(path)} is changed twice in one call")
        for key, value in self.set.items():
            _json_form(self.name(self._path(key)), value)

    def __bool__(self) -> bool:
        return bool(self.set or self.unset)

    def name(self, path: Iterable[str]) -> str:
        """Spell a key as filters do: `config["model"]["depth"]`."""
        return self.section + _brackets(path)

    def apply(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each top-level key that is changed will hold; `ABSENT` if it is removed.

        Raises:
            UsageError: a path leads into something that is no object, or an object would lose keys.
        """
        values = to_safe_json(values)
        found: dict[str, Any] = {}
        for key, value in self.set.items():
            top, *rest = path = self._path(key)
            base = found.get(top, values.get(top, ABSENT))
            found[top] = self._set(base, rest, _json_form("", value), path)
        for key in self.unset:
            top, *rest = self._path(key)
            found[top] = _without(found.get(top, values.get(top, ABSENT)), rest)
        return found

    def absent(self, values: Mapping[str, Any]) -> list[tuple[str, ...]]:
        """Return the paths to be removed that `values` does not have."""
        return [path for path in map(self._path, self.unset) if _at(values, path) is ABSENT]

    def changes(self, values: Mapping[str, Any]) -> list[Change]:
        """Return what is changed, by the paths that were named; a value that stays is left out."""
        values = to_safe_json(values)
        after = {**values, **self.apply(values)}
        paths = [self._path(key) for key in (*self.set, *self.unset)]
        found = [Change(self.name(path), _at(values, path), _at(after, path)) for path in paths]
        return [change for change in found if not same_json(change.before, change.after)]

    def differences(self, wanted: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
        """Name the top-level keys whose values are not as `wanted`, which `apply` gave."""
        return [
            self.name((key,))
            for key, value in wanted.items()
            if not same_json(to_safe_json(values.get(key, ABSENT)), value)
        ]

    def _set(self, base: Any, rest: list[str], value: Any, path: tuple[str, ...]) -> Any:
        if not rest:
            lost = [] if self.replace else _lost(base, value)
            if lost:
                dropped = ", ".join(map(repr, lost))
                raise UsageError(
                    f"{self.name(path)} holds an object, and the new value drops {dropped}; name the key "
                    f"inside the object ({(*path, 'key')!r}, on the command line "
                    f"{path[0]}{_brackets((*path[1:], 'key'))}), or replace the object with replace=True "
                    "(--replace); nothing was done"
                )
            return value
        inside = {} if base is ABSENT else base
        if not isinstance(inside, dict):
            depth = len(path) - len(rest)
            raise UsageError(
                f"{self.name(path[:depth])} is no object, so {self.name(path)} cannot be set; "
                "nothing was done"
            )
        return {**inside, rest[0]: self._set(inside.get(rest[0], ABSENT), rest[1:], value, path)}

    def _path(self, key: KeyPath) -> tuple[str, ...]:
        path = (key,) if isinstance(key, str) else key
        if (
            not isinstance(path, tuple)
            or not path
            or not all(isinstance(part, str) and part for part in path)
        ):
            raise UsageError(
                f"a {self.section} key is a text or a tuple of texts, and not empty, not {key!r}"
            )
        if self.section == "config" and path[0] == "_wandb":
            raise UsageError(
                'config["_wandb"] is W&B\'s own: runs do not show it, and it cannot be changed here'
            )
        return path


def _brackets(path: Iterable[str]) -> str:
    return "".join(f"[{json.dumps(part, ensure_ascii=False)}]" for part in path)


def _json_form(name: str, value: Any) -> Any:
    """The value as it will be read back."""
    try:
        return parse_json(dump_json(value))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: a value has no JSON form: {error}; nothing was done") from error


def _lost(base: Any, value: Any) -> list[str]:
    """Keys of the object `base` that `value` does not have, or lacks further down."""
    if not isinstance(base, dict):
        return []
    if not isinstance(value, dict):
        return list(base)
    return [key for key, inner in base.items() if key not in value or _lost(inner, value[key])]


def _without(base: Any, rest: list[str]) -> Any:
    if not rest:
        return ABSENT
    if not isinstance(base, dict) or rest[0] not in base:
        return base
    inner = _without(base[rest[0]], rest[1:])
    kept = {key: value for key, value in base.items() if key != rest[0]}
    return kept if inner is ABSENT else {**base, rest[0]: inner}


def _at(values: Any, path: Iterable[str]) -> Any:
    for part in path:
        values = values.get(part, ABSENT) if isinstance(values, Mapping) else ABSENT
    return values


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, with true kept apart from 1 and an absent key from null."""
    match one, other:
        case (dict(), dict()):
            return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
        case (list(), list()):
            return len(one) == len(other) and all(map(same_json, one, other))
        case _:
            return (isinstance(one, bool) is isinstance(other, bool)) and one == other


def _shown(value: Any) -> str:
    return "(none)" if value is ABSENT else dump_json(value)
