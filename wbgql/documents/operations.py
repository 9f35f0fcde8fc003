"""What an operation is to the rest of the package: a name, a result type, a text. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

# The value of a field that the operation did not ask for. It is false, and not None. Typed as Any, so that
# it can be the default of a field of any type.
NOT_FETCHED: Any = msgspec.UNSET


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Base of everything decoded from an answer: GraphQL's names, in snake case.

    Fields that an operation asks for and the type lacks are ignored. `frozen`, `gc` and
    `rename` pass on to subclasses; `kw_only` does not, so say it again where a field
    without a default follows one that has it.
    """


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """An operation in the `.graphql` files by its name, and the type its `data` decodes into.

    `repeatable`: a mutation that may be sent twice without harm; queries always may.
    `destructive`: it deletes. `paged`: its `$first` may be made smaller when a page is too
    large for the server, so the session leaves that failure to the paging loop.
    """

    name: str
    result: type[T]
    repeatable: bool = False
    destructive: bool = False
    paged: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable an operation declares. `required`: non-null and without a default."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation ready to send: `text` holds it and the fragments it needs, nothing else.

    `result` is the type that an answer's `data` may be decoded into at once; left alone, it stays JSON.
    """

    name: str
    text: str
    kind: Literal["query", "mutation"]
    variables: Mapping[str, Variable]
    file: str
    line: int
    result: Any = msgspec.Raw
