"""What an operation is to the rest of the package: a name, a result type, a text. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec

if TYPE_CHECKING:
    from wbgql.documents.tailoring import Variants

T = TypeVar("T")

# The value of a field that the operation did not ask for, or that it can do without (`@optional`) and the
# server's schema lacks. It is false, and not None. Typed as Any, so that it can be the default of a field of
# any type.
NOT_FETCHED: Any = msgspec.UNSET


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Base of everything decoded from an answer: GraphQL's names, in snake case.

    Fields that an operation asks for and the type lacks are ignored. `frozen`, `gc` and
    `rename` pass on to subclasses; `kw_only` does not, so say it again where a field
    without a default follows one that has it.
    """


class NamedObject(Result, frozen=True):
    """An object that was asked for by its name, with the name that the server knows it by."""

    name: str = NOT_FETCHED


class NamedProject(NamedObject, frozen=True):
    """A project that was asked for by its names, with the names that the server knows it by."""

    entity_name: str = NOT_FETCHED


class Identified(Result, frozen=True):
    """An object that was asked for by its id, with that id."""

    id: str = NOT_FETCHED


Names = Literal["report", "refuse", "own"]
"""What happens if the server answers with an object of another path than the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """An operation in the `.graphql` files by its name, and the type its `data` decodes into.

    `repeatable`: a mutation that may be sent twice without harm; queries always may.
    `destructive`: it deletes. `paged`: its `$first` may be made smaller when a page is too
    large for the server, so the session leaves that failure to the paging loop. `names`: the
    session reports or refuses an answer about another object, or the caller sees to it (`own`).
    `informs`: nothing is decided by the answer, so that errors next to data that is whole are a warning.
    """

    name: str
    result: type[T]
    repeatable: bool = False
    destructive: bool = False
    paged: bool = False
    names: Names = "report"
    informs: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable an operation declares. `required`: non-null and without a default."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Echo:
    """Where an answer repeats a name or id that was asked for: its keys in the JSON, and the variable."""

    path: tuple[str, ...]
    variable: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation ready to send: `text` holds it and the fragments it needs, nothing else.

    `result` is the type that an answer's `data` may be decoded into at once; left alone, it stays JSON.
    `variants`: what a query can be sent as, for one call and one server, and what a server says it lacks;
    a mutation is sent as it is.
    `about`: the first sentence of the comment above the operation.
    """

    name: str
    text: str
    kind: Literal["query", "mutation"]
    variables: Mapping[str, Variable]
    file: str
    line: int
    echoes: tuple[Echo, ...] = ()
    result: Any = msgspec.Raw
    variants: Variants | None = field(default=None, repr=False, compare=False)
    about: str = ""

    def fitted(self, variables: Mapping[str, Any], missing: frozenset[str]) -> Prepared:
        """Return it without the parts that a call switches off, and those that are `missing` and optional.

        Its `variables` are then those that the shorter text declares.
        """
        if self.variants is None or self.kind == "mutation":
            return self
        text = self.variants.get(variables, missing)
        kept = {name: each for name, each in self.variables.items() if name in text.variables}
        return replace(self, text=text.text, variables=kept)
