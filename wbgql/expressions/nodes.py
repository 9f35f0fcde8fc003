"""What an expression is made of: field paths, instants, conditions and their combinations. No I/O.

Nodes hold plain values and compare by structure; the classes with operators stand in `fields`.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, NoReturn, TypeAlias

from wbgql.errors import FilterError
from wbgql.patterns import not_in_re2
from wbgql.scalars import format_datetime

Section: TypeAlias = Literal["run", "summary", "config", "step"]

MAX_DEPTH = 100

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CENTURY_S = 36_525 * 86_400

# Source: W&B docs, limits page (2026-08): config names up to 3 dots and summary names up to 4 are indexed.
_INDEXED_PARTS = {"config": 4, "summary": 5}

# Python name -> server key. Source: wandb SDK 0.31.0 `apis/public/api.py` (docstring of `Api.runs`);
# updatedAt is only known from W&B's own MCP server prompt (2026-04).
RUN_KEYS = {
    "id": "name",
    "display_name": "displayName",
    "state": "state",
    "tags": "tags",
    "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "updated_at": "updatedAt",
    "group": "group",
    "job_type": "jobType",
    "user": "username",
    "sweep": "sweep",
    "host": "host",
    "duration_s": "duration",
    "notes": "notes",
}
# No public source says that a server filters by these (2026-11), so the client compares them.
_CLIENT_ATTRIBUTES = frozenset({"notes"})
DATE_ATTRIBUTES = frozenset({"created_at", "heartbeat_at", "updated_at"})


@dataclass(frozen=True, slots=True)
class RelativeTime:
    """An instant before now, resolved when the filter is compiled; made by `ago`."""

    amount: int
    unit: str

    def __post_init__(self) -> None:
        if self.unit not in _SECONDS or not 0 <= self.amount * _SECONDS[self.unit] <= _CENTURY_S:
            raise FilterError(
                f"ago({str(self.amount) + self.unit!r}): write s, m, h, d or w, up to a century"
            )

    def resolve(self, now: datetime) -> datetime:
        """Return the instant in UTC, down to the whole second: the form W&B is known to read."""
        if now.tzinfo is None:
            raise FilterError(f"now has no time zone: {now!r}, pass datetime.now(UTC)")
        return now.astimezone(UTC).replace(microsecond=0) - timedelta(
            seconds=self.amount * _SECONDS[self.unit]
        )

    def __str__(self) -> str:
        return f'ago("{self.amount}{self.unit}")'


def ago(span: str) -> RelativeTime:
    """Return the instant `span` before the filter is compiled: "30s", "15m", "12h", "7d", "2w".

    Raises:
        FilterError: not a whole number and a unit, or more than a century.
    """
    found = re.fullmatch(r"([0-9]{1,12})([smhdw])", span) if isinstance(span, str) else None
    if found is None:
        raise FilterError(f'ago({span!r}): write a whole number and s, m, h, d or w, as in ago("7d")')
    return RelativeTime(int(found[1]), found[2])


Scalar: TypeAlias = str | int | float | bool | datetime | RelativeTime


@dataclass(frozen=True, slots=True)
class FieldPath:
    """Where a value lies in a run: `section` and the names to walk; a value, with ordinary equality."""

    section: Section
    parts: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key in the server's filter JSON.

        Source: wandb/wandb#9406 (2025): `config.X.value` and `summary_metrics.X`, a dot between nested names.
        """
        if self.section == "run":
            return RUN_KEYS[self.parts[0]]
        if self.section == "summary":
            return ".".join(("summary_metrics", *self.parts))
        if self.section == "step":
            raise FilterError(f"{self}: no server searches histories, give it to client.history(...).where()")
        return ".".join(("config", self.parts[0], "value", *self.parts[1:]))

    @classmethod
    def of_key(cls, key: str) -> FieldPath | None:
        """Return the field that a project lists as `key`; None for what is neither config nor summary.

        In config, `value` stands behind the top-level name. Elsewhere a dot in a name is not told from
        nesting, which is by far the more frequent.
        """
        section, *parts = key.split(".")
        if section not in ("summary_metrics", "config") or not all(parts) or not parts:
            return None
        if section == "config" and "value" in parts[1:]:
            end = parts.index("value", 1)
            parts = [".".join(parts[:end]), *parts[end + 1 :]]
        return cls("config" if section == "config" else "summary", tuple(parts))

    @property
    def is_tags(self) -> bool:
        """Whether the value is the list of tags."""
        return self.section == "run" and self.parts == ("tags",)

    @property
    def is_date(self) -> bool:
        """Whether the value is an instant."""
        return self.section == "run" and self.parts[0] in DATE_ATTRIBUTES

    @property
    def dotted(self) -> str | None:
        """The first name with a dot in it, which the server reads as nesting, or None."""
        if self.section in ("run", "step"):
            return None
        return next((part for part in self.parts if "." in part), None)

    def warnings(self) -> list[str]:
        """Say what may keep the server from finding this key."""
        limit = _INDEXED_PARTS.get(self.section)
        if limit is None or len(self.parts) <= limit:
            return []
        return [f"{self}: the server indexes {limit} levels of {self.section} names, expect no match below"]

    def __str__(self) -> str:
        if self.section == "run":
            return self.parts[0]
        return self.section + "".join(f"[{quoted(part)}]" for part in self.parts)


class Op(StrEnum):
    """What a condition asks of a field."""

    EQ = "=="
    NE = "!="
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    IN = "in"
    NOT_IN = "not in"
    IS_NULL = "is null"
    NOT_NULL = "not null"
    EXISTS = "exists"
    MISSING = "missing"
    CONTAINS = "contains"
    MATCHES = "matches"
    IS_LIST = "is list"
    HAS = "has"


PRESENCE = frozenset({Op.IS_NULL, Op.NOT_NULL, Op.EXISTS, Op.MISSING})
"""What asks whether a value is there, and not what it is."""

# Source: W&B cannot filter config values that are lists (wandb/wandb#10900, open in 2026).
_LIST_OPS = frozenset({Op.IS_LIST, Op.HAS})


class Expr(ABC):
    """A condition on runs: combine with & | ~, hand to `where=`, print with `str`.

    `~e` holds for exactly the runs for which `e` does not, also where the value is
    null, missing or of another type. Two expressions are equal if they are built alike.
    """

    __slots__ = ()

    depth: int

    def __and__(self, other: object) -> And:
        return And(_terms(And, self, _condition(other)))

    def __or__(self, other: object) -> Or:
        return Or(_terms(Or, self, _condition(other)))

    def __rand__(self, other: object) -> NoReturn:
        _condition(other)
        raise FilterError("& stands between two conditions: put each in parentheses, (a > 1) & (b < 2)")

    __ror__ = __rand__

    def __invert__(self) -> Expr:
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise FilterError(
            f"{self}: a condition has no truth value in Python, combine with & | ~ and parentheses instead of"
            " and/or/not, and write f.between(a, b) instead of a < f < b"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expr):
            return NotImplemented
        return self.identity() == other.identity()

    def __hash__(self) -> int:
        return hash(self.identity())

    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """What equality compares; keeps True apart from 1."""

    @abstractmethod
    def conditions(self) -> Iterator[Condition]:
        """Yield the conditions, from left to right."""

    def warnings(self) -> list[str]:
        """Say what is legal but slow, or may not match what it seems to; in order, each once."""
        found = (text for condition in self.conditions() for text in condition.own_warnings())
        return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Condition(Expr):
    """One field and what is asked of it. `operand` is a tuple for `in` and `not in`, None where none is."""

    path: FieldPath
    op: Op
    operand: Scalar | tuple[Scalar, ...] | None = None
    depth: int = field(default=1, init=False)

    def identity(self) -> tuple[object, ...]:
        operands = self.operand if isinstance(self.operand, tuple) else (self.operand,)
        return (self.path, self.op, *((type(item), item) for item in operands))

    def conditions(self) -> Iterator[Condition]:
        yield self

    @property
    def refusal(self) -> str | None:
        """Why the server cannot decide this condition, or None where it can."""
        if self.path.dotted is not None:
            return f"{self.path}: the server reads a dot in a key as nesting (wandb/wandb#3087)"
        if self.op in _LIST_OPS:
            return f"{self}: the server cannot look into lists (wandb/wandb#10900)"
        if self.path.section == "run" and self.path.parts[0] in _CLIENT_ATTRIBUTES:
            return f"{self.path}: servers are not known to filter by it"
        return None

    @property
    def searches_text(self) -> bool:
        """Whether it looks into text, where servers may differ: case is not documented for either search."""
        return self.op in (Op.CONTAINS, Op.MATCHES)

    def own_warnings(self) -> Iterator[str]:
        """Yield the warnings of this condition alone."""
        if self.refusal is not None:
            return
        yield from self.path.warnings()
        if self.op is Op.MATCHES:
            yield f"{self}: a regular expression makes the server read every run, contains() uses an index"
            if not_in_re2(str(self.operand)):
                yield f"{self}: look-around and back references are not in RE2, some servers refuse them"
        if self.op is Op.CONTAINS and re.search("[%_]", str(self.operand)):
            yield f"{self}: some servers may read % and _ as wildcards"

    def __str__(self) -> str:
        if self.path.is_tags:
            return self._tags_text()
        if self.op is Op.EQ and self.operand == "NaN" and self.path.section != "run":
            return f"{self.path}.is_nan()"
        if self.op in (Op.IS_NULL, Op.NOT_NULL):
            return f"{self.path} {'==' if self.op is Op.IS_NULL else '!='} None"
        if self.op in (Op.EXISTS, Op.MISSING):
            return f"{self.path}.{self.op}()"
        if self.op in (Op.CONTAINS, Op.MATCHES, Op.HAS):
            return f"{self.path}.{self.op}({_literal(self.operand)})"
        if self.op is Op.IS_LIST:
            return f"{self.path} == {_literal(self.operand)}"
        return f"{self.path} {self.op} {_literal(self.operand)}"

    def _tags_text(self) -> str:
        if self.op is Op.EQ:
            return f"{_literal(self.operand)} in tags"
        if self.op is Op.IN:
            return f"tags.has_any({_literal(self.operand)})"
        return f"tags {'==' if self.op is Op.IS_NULL else '!='} None"

    def __repr__(self) -> str:
        return f"<Expr {self}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Combined(Expr):
    terms: tuple[Expr, ...]
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _checked(1 + max(term.depth for term in self.terms)))

    def identity(self) -> tuple[object, ...]:
        return (type(self), *self.terms)

    def conditions(self) -> Iterator[Condition]:
        for term in self.terms:
            yield from term.conditions()

    def _joined(self, word: str) -> str:
        return f" {word} ".join(
            f"({term})" if isinstance(term, _Combined) else str(term) for term in self.terms
        )

    def __repr__(self) -> str:
        return f"<Expr {self}>"


class And(_Combined):
    """Every term holds. Nested ones are flattened when combined with &."""

    __slots__ = ()

    def __str__(self) -> str:
        return self._joined("and")


class Or(_Combined):
    """At least one term holds. Nested ones are flattened when combined with |."""

    __slots__ = ()

    def __str__(self) -> str:
        return self._joined("or")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Not(Expr):
    """The exact complement of `term`."""

    term: Expr
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", _checked(1 + self.term.depth))

    def __invert__(self) -> Expr:
        return self.term

    def identity(self) -> tuple[object, ...]:
        return (Not, self.term)

    def conditions(self) -> Iterator[Condition]:
        return self.term.conditions()

    def __str__(self) -> str:
        term = self.term
        if isinstance(term, Condition) and term.path.is_tags and term.op is Op.EQ:
            return f"{_literal(term.operand)} not in tags"
        return f"not ({term})"

    def __repr__(self) -> str:
        return f"<Expr {self}>"


def fields_of(expr: Expr) -> frozenset[FieldPath]:
    """Return where the values lie that `expr` asks about."""
    return frozenset(condition.path for condition in expr.conditions())


def join(kind: type[And] | type[Or], terms: Sequence[Expr]) -> Expr:
    """Join one or more terms, as & or | do one by one."""
    return terms[0] if len(terms) == 1 else kind(_terms(kind, *terms))


def _terms(kind: type[_Combined], *sides: Expr) -> tuple[Expr, ...]:
    return tuple(term for side in sides for term in (side.terms if isinstance(side, kind) else (side,)))


def _condition(value: object) -> Expr:
    if not isinstance(value, Expr):
        raise FilterError(
            f"{value!r} is not a condition: compare it, and put each side of & and | in parentheses,"
            " (a > 1) & (b < 2)"
        )
    return value


def _checked(depth: int) -> int:
    if depth > MAX_DEPTH:
        raise FilterError(f"nested deeper than {MAX_DEPTH} levels: use in_([...]), or flatten the expression")
    return depth


def quoted(text: str) -> str:
    """Write a key or a text as expressions have it."""
    return json.dumps(text, ensure_ascii=False)


def _literal(value: Scalar | tuple[Scalar, ...] | None) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, datetime):
        return quoted(format_datetime(value))
    if isinstance(value, str):
        return quoted(value)
    return str(value) if isinstance(value, RelativeTime) else repr(value)
