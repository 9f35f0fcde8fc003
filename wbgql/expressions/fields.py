"""The fields that users compare: `run.state`, `summary["loss"]`, `config["lr"]`. No I/O.

Every mistake that Python would let pass in silence (and/or/not, chained comparison, `in`,
missing parentheses) raises FilterError with what to write.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NoReturn

from wbgql.errors import FilterError
from wbgql.expressions.nodes import (
    DATE_ATTRIBUTES,
    And,
    Condition,
    Expr,
    FieldPath,
    Op,
    Scalar,
    join,
    quoted,
)
from wbgql.expressions.operands import check_key, check_text, make_operand, make_operands, make_text

_AGGREGATES = frozenset({"min", "max", "mean", "first", "last"})


class UnknownFieldError(FilterError, AttributeError):
    """No such attribute; an AttributeError too, so that `hasattr` and inspecting tools go on working."""


class Guarded:
    """Refuses what Python would accept and misread."""

    __slots__ = ()

    def _refusal(self, what: str, instead: str) -> FilterError:
        return FilterError(f"{self}: {what}, {instead}")

    def __bool__(self) -> NoReturn:
        raise self._refusal(
            "a field has no truth value", "compare it, combine with & | ~, write between(a, b) for a < f < b"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise self._refusal(
            f"{item!r} in ... cannot be sent", "write .has(x) for tags, .contains(text) or .in_([...])"
        )

    def __iter__(self) -> NoReturn:
        raise self._refusal("a field cannot be iterated", "its values are on the server: select it")

    def __len__(self) -> NoReturn:
        raise self._refusal("a field has no length", "its values are on the server: select it")

    def _misplaced(self, other: object = None) -> NoReturn:
        operand = "" if other is None else f" (here with {other!r})"
        raise self._refusal(f"& | ~ bind tighter than comparisons{operand}", "write (a > 1) & (b < 2)")

    def _arithmetic(self, other: object) -> NoReturn:
        raise self._refusal("the server does not calculate", f"move {other!r} to the other side")

    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _misplaced
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _arithmetic
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __pow__ = _arithmetic

    def __invert__(self) -> NoReturn:
        self._misplaced()


@dataclass(frozen=True, slots=True)
class Order:
    """One key to sort by; `-field` is descending, `+field` ascending."""

    path: FieldPath
    descending: bool
    client_side: bool = field(default=False, compare=False)
    """The client may sort by it, where the server cannot."""

    def __post_init__(self) -> None:
        if self.path.section == "run" and self.path.parts[0] not in DATE_ATTRIBUTES:
            raise FilterError(
                f"{self.path}: the server cannot sort by it, use created_at, heartbeat_at, updated_at,"
                " config[...] or summary[...]"
            )
        if not self.client_side:
            check_filterable(self.path)

    def __bool__(self) -> NoReturn:
        raise FilterError(f"{self}: a sort order has no truth value, give it to order=")

    def _misplaced(self, other: object = None) -> NoReturn:
        raise FilterError(
            f"{self}: a sort order is not a condition ({other!r}), leave out the sign to compare the field"
        )

    __lt__ = __le__ = __gt__ = __ge__ = _misplaced
    __and__ = __rand__ = __or__ = __ror__ = _misplaced

    def __invert__(self) -> NoReturn:
        self._misplaced()

    def __str__(self) -> str:
        return f"{'-' if self.descending else '+'}{self.path}"


class Field(Guarded):
    """One value of a run. Comparing it gives an `Expr`, a sign in front of it an `Order`.

    A comparison holds for present values of the operand's type alone: numbers with
    numbers (true and false are none), text with text. A list holds if a member does;
    W&B itself cannot filter config values that are lists (wandb/wandb#10900, 2026).
    """

    __slots__ = ("path",)
    __hash__: ClassVar[None]  # type: ignore[assignment]  # == builds an Expr, so a set could not tell fields apart

    path: FieldPath

    def __init__(self, path: FieldPath) -> None:
        self.path = path

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]  # builds a condition
        if other is None:
            return self._where(Op.IS_NULL)
        return self._where(Op.EQ, make_operand(self.path, Op.EQ, other))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]  # builds a condition
        if other is None:
            return self._where(Op.NOT_NULL)
        return self._where(Op.NE, make_operand(self.path, Op.NE, other))

    def __gt__(self, other: object) -> Expr:
        return self._where(Op.GT, make_operand(self.path, Op.GT, other))

    def __ge__(self, other: object) -> Expr:
        return self._where(Op.GE, make_operand(self.path, Op.GE, other))

    def __lt__(self, other: object) -> Expr:
        return self._where(Op.LT, make_operand(self.path, Op.LT, other))

    def __le__(self, other: object) -> Expr:
        return self._where(Op.LE, make_operand(self.path, Op.LE, other))

    def __pos__(self) -> Order:
        return Order(self.path, descending=False)

    def __neg__(self) -> Order:
        return Order(self.path, descending=True)

    def is_not(self, value: object) -> Expr:
        """Hold where the value differs, is null or is missing; `!=` leaves out the last two."""
        return ~(self == value)

    def in_(self, values: Iterable[object]) -> Expr:
        """Hold where the value is one of `values`; an empty list matches nothing."""
        return self._where(Op.IN, make_operands(self.path, Op.IN, values))

    def not_in(self, values: Iterable[object]) -> Expr:
        """Hold where the value is present, not null and none of `values`."""
        return self._where(Op.NOT_IN, make_operands(self.path, Op.NOT_IN, values))

    def between(self, low: object, high: object) -> Expr:
        """Hold where low <= value <= high, both ends included."""
        return (self >= low) & (self <= high)

    def _where(self, op: Op, operand: Scalar | tuple[Scalar, ...] | None = None) -> Expr:
        check_filterable(self.path)
        return Condition(self.path, op, operand)

    if not TYPE_CHECKING:  # so that type checkers find a misspelt name themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            if name in ("exists", "missing"):
                raise UnknownFieldError(f"{self}: every run has this attribute, write != None or == None")
            methods = [item for item in dir(type(self)) if not item.startswith("_") and item != "path"]
            near = difflib.get_close_matches(name, methods, n=3)
            hint = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(methods)}"
            raise UnknownFieldError(f"{self}: no {name!r} here, {hint}")

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


class _Searchable(Field):
    __slots__ = ()

    def contains(self, text: str) -> Expr:
        """Hold where the value is text with `text` in it; the server's index serves this.

        Whether a server ignores case is not documented; `matches` here does not.
        Source: wandb/skills WANDB_SDK.md (2026-06): `$contains` becomes an indexed LIKE.
        """
        return self._where(Op.CONTAINS, make_text(self.path, Op.CONTAINS, text))

    def matches(self, pattern: str) -> Expr:
        """Hold where the regular expression is found in the text; reads every run on the server."""
        return self._where(Op.MATCHES, make_text(self.path, Op.MATCHES, pattern))


class TextField(_Searchable):
    """A run attribute that is text."""

    __slots__ = ()


class DateField(Field):
    """A run attribute that is an instant: compare with an aware datetime, ISO text with zone, or `ago`."""

    __slots__ = ()


class NumberField(Field):
    """A run attribute that is a number."""

    __slots__ = ()


class TagsField(Field):
    """The tags of a run."""

    __slots__ = ()

    def has(self, tag: str) -> Expr:
        """Hold where the run carries `tag`."""
        return self._where(Op.EQ, _tags("has", [tag])[0])

    def has_any(self, tags: Iterable[str]) -> Expr:
        """Hold where the run carries at least one of `tags`; an empty list matches nothing."""
        return self._where(Op.IN, _tags("has_any", tags))

    def has_all(self, tags: Iterable[str]) -> Expr:
        """Hold where the run carries each of `tags`."""
        return join(And, [self.has(tag) for tag in _some("has_all", tags)])

    def has_none(self, tags: Iterable[str]) -> Expr:
        """Hold where the run carries none of `tags`; also where it has no tags at all."""
        return ~self._where(Op.IN, _some("has_none", tags))


class JsonField(_Searchable):
    """A value in `summary` or `config`; `f["inner"]` goes into an object."""

    __slots__ = ()

    def __getitem__(self, key: str) -> JsonField:
        return JsonField(FieldPath(self.path.section, (*self.path.parts, check_key(str(self), key))))

    def exists(self) -> Expr:
        """Hold where the key is there, even if its value is null."""
        return self._where(Op.EXISTS)

    def missing(self) -> Expr:
        """Hold where the key is not there; `== None` holds for null too."""
        return self._where(Op.MISSING)

    def is_nan(self) -> Expr:
        """Hold where the value is NaN.

        Source: wandb SDK `util.make_safe_for_json` (2026-08): stored as the string "NaN".
        """
        return self._where(Op.EQ, "NaN")

    @property
    def min(self) -> JsonField:
        """The smallest value logged; stored only after `define_metric(name, summary="min")`."""
        return self._aggregate("min")

    @property
    def max(self) -> JsonField:
        """The largest value logged; stored only after `define_metric(name, summary="max")`."""
        return self._aggregate("max")

    @property
    def mean(self) -> JsonField:
        """The mean of the values logged; stored only after `define_metric(name, summary="mean")`."""
        return self._aggregate("mean")

    @property
    def first(self) -> JsonField:
        """The first value logged; stored only after `define_metric(name, summary="first")`."""
        return self._aggregate("first")

    @property
    def last(self) -> JsonField:
        """The last value logged; stored only after `define_metric(name, summary="last")`."""
        return self._aggregate("last")

    def _aggregate(self, name: str) -> JsonField:
        if self.path.section != "summary":
            # Python then asks __getattr__, whose message is the one that is seen.
            raise AttributeError(name)
        return self[name]

    if not TYPE_CHECKING:  # so that type checkers find a misspelt name themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            if name in _AGGREGATES:
                raise UnknownFieldError(
                    f'{self}: only summary values have .{name}, write {self}["{name}"] for a key'
                )
            if name.startswith("has"):
                raise UnknownFieldError(
                    f"{self}: only tags have .{name}, the server cannot look into lists; the client can:"
                    f" write {_on_the_client(self.path)}.has(...), with client_side=True in the call"
                )
            raise UnknownFieldError(f'{self}: no {name!r} here, write {self}["{name}"] for a key inside it')


class ClientField(JsonField):
    """A value in `summary` or `config` that may be compared on the client, where the server cannot.

    What the server can decide of it, the server does decide.
    """

    __slots__ = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]  # as for Field

    def __getitem__(self, key: str) -> ClientField:
        return ClientField(FieldPath(self.path.section, (*self.path.parts, check_key(str(self), key))))

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]  # builds a condition
        if isinstance(other, (list, tuple)):
            return self._where(Op.IS_LIST, make_operands(self.path, Op.IS_LIST, other))
        return super().__eq__(other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]  # builds a condition
        if isinstance(other, (list, tuple)):
            return self._where(Op.NOT_NULL) & ~(self == other)
        return super().__ne__(other)

    def __pos__(self) -> Order:
        return Order(self.path, descending=False, client_side=True)

    def __neg__(self) -> Order:
        return Order(self.path, descending=True, client_side=True)

    def has(self, member: object) -> Expr:
        """Hold where the value is a list with `member` in it."""
        return self._where(Op.HAS, make_operand(self.path, Op.EQ, member))

    def _where(self, op: Op, operand: Scalar | tuple[Scalar, ...] | None = None) -> Expr:
        return Condition(self.path, op, operand)


def _on_the_client(path: FieldPath) -> str:
    """How a field is written that the client may compare."""
    first, *rest = path.parts
    return f"{path.section}({quoted(first)}, client_side=True)" + "".join(f"[{quoted(one)}]" for one in rest)


def check_filterable(path: FieldPath) -> None:
    """Raise FilterError for a key with a dot in it: it can be selected, not filtered or sorted by."""
    if path.dotted is None:
        return
    nested = FieldPath(path.section, tuple(name for part in path.parts for name in part.split(".") if name))
    raise FilterError(
        f"{path}: the server reads a dot in a key as nesting (wandb/wandb#3087), write {nested} if the value"
        " is nested; if it is not, the client can compare it and sort by it: write"
        f" {_on_the_client(path)}, with client_side=True in the call, which reads every run that matches the"
        " rest"
    )


def _tags(method: str, tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
        raise FilterError(f"tags.{method}({tags!r}): write a list of tags")
    listed = tuple(tags)
    wrong = [tag for tag in listed if not isinstance(tag, str) or not tag]
    if wrong:
        raise FilterError(f"tags.{method}: {wrong[0]!r} is not a tag, tags are text and not empty")
    return tuple(check_text(f"tags.{method}", tag) for tag in listed)


def _some(method: str, tags: Iterable[str]) -> tuple[str, ...]:
    listed = _tags(method, tags)
    if not listed:
        raise FilterError(f"tags.{method}([]): would match every run, leave the condition out instead")
    return listed
