"""What a frame holds: its columns, their kinds and their names. No I/O.

A frame knows columns, not runs: whoever makes one says which attributes its nodes have and which of
them are JSON texts to look into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from wbgql.errors import UsageError

Kind: TypeAlias = Literal["number", "integer", "boolean", "string", "json", "time", "texts"]
"""What a column holds. In Arrow: float64, int64, bool, string, string (JSON text),
timestamp[us, UTC], list<string>."""

KeyKind: TypeAlias = Literal["number", "integer", "boolean", "string", "json"]
"""The kinds a key of a JSON text may have."""

DEFAULT_KIND: KeyKind = "number"
"""The kind of a key that nobody has seen a value of."""

# The first kind of a mixed key, in this order, has the plain name; each further kind is named.
_PRECEDENCE: tuple[KeyKind, ...] = ("number", "integer", "boolean", "string", "json")

# Source: types in W&B's `Project.fields` (its MCP server, 2026); what is none of these is an object.
_FIELD_KINDS: Mapping[str, KeyKind] = {"number": "number", "string": "string", "boolean": "boolean"}


class FrameWarning(UserWarning):
    """Values that a frame has no column for; they are null in it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a frame, as it comes out."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column whose kind never changes. `read` gives the values of a page of nodes."""

    name: str
    kind: Kind
    read: Callable[[Any], Sequence[Any]]


def column_name(prefix: str, *parts: str) -> str:
    """The name of a key's column. Half a surrogate pair, which no file can hold, is written as `\\ud800`."""
    return ".".join((prefix, *parts)).encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class TextKeys:
    """Columns read out of a JSON text of each node. `read` gives the texts of a page of nodes.

    `keys` are paths to walk; None means every top-level key. `wrapped`: values stand in
    `{"value": ...}`, as in a config. Keys in `hidden` are left out of "every".
    """

    prefix: str
    read: Callable[[Any], Sequence[str | None]]
    keys: tuple[tuple[str, ...], ...] | None
    wrapped: bool = False
    hidden: frozenset[str] = frozenset({"_wandb"})

    def name_of(self, parts: Sequence[str]) -> str:
        """The column's name: `config.lr`, `summary.val/acc`, `config.model.layers`."""
        return column_name(self.prefix, *parts)


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a frame is made of. `kinds`: what is known of a key's values, by column name.

    `closed`: there are no columns but those of `kinds`.
    """

    attributes: tuple[Attribute, ...]
    texts: tuple[TextKeys, ...] = ()
    kinds: Mapping[str, tuple[KeyKind, ...]] = field(default_factory=dict)
    closed: bool = False


def checked_kinds(types: Mapping[str, Any] | None) -> dict[str, tuple[KeyKind, ...]]:
    """Check what a caller says of columns: `{"config.seed": "integer"}`.

    Raises:
        UsageError: not a kind.
    """
    found: dict[str, tuple[KeyKind, ...]] = {}
    for name, kind in (types or {}).items():
        if kind not in get_args(KeyKind):
            raise UsageError(f"no such type {kind!r}: column {name!r}, use {', '.join(get_args(KeyKind))}")
        found[name] = (kind,)
    return found


def kinds_of_field_types(types: Iterable[str]) -> tuple[KeyKind, ...]:
    """The kinds that a server's type names stand for, in order; null alone stands for none."""
    return in_order({_FIELD_KINDS.get(name, "json") for name in types if name not in ("nil", "null")})


def in_order(kinds: Iterable[KeyKind]) -> tuple[KeyKind, ...]:
    """Kinds without repetition, the one with the plain name first."""
    return tuple(sorted(set(kinds), key=_PRECEDENCE.index))


def name_columns(base: str, kinds: Sequence[KeyKind]) -> tuple[Column, ...]:
    """The columns of one key: `config.lr` for its first kind, `config.lr:string` for a further one."""
    return tuple(Column(base if not n else f"{base}:{kind}", kind) for n, kind in enumerate(kinds))
