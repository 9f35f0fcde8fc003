"""Any operation of the caller's own: read from a file, checked against the SDL, its variables read, sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wbgql.documents import Operation, Prepared, Variable
from wbgql.documents.effects import Call
from wbgql.errors import NotApproved, UsageError
from wbgql.scalars import parse_json
from wbgql.wire.session import Session, check_variables

# GraphQL types whose values are text on the wire: `--var name=5` is then "5", not 5.
_TEXT_TYPES = frozenset({"String", "ID", "JSONString", "DateTime"})


@dataclass(frozen=True)
class OwnOperation:
    """One operation of a file, valid against the SDL. `calls`: what it asks of the root type."""

    prepared: Prepared
    calls: tuple[Call, ...]

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.prepared.name

    @property
    def is_mutation(self) -> bool:
        """Whether it changes something."""
        return self.prepared.kind == "mutation"

    @property
    def root_fields(self) -> tuple[str, ...]:
        """The names of the fields that it asks of the root type."""
        return tuple(call.field for call in self.calls)

    @property
    def far_reaching(self) -> tuple[str, ...]:
        """The root fields that change many things with one call, or who may see them."""
        return tuple(call.field for call in self.calls if self.is_mutation and call.effect.far)


def check_keeps(name: str, calls: Iterable[Call], variables: Mapping[str, Any]) -> None:
    """Check that no call of a mutation can destroy, by the table of `wbgql.documents.effects`.

    Raises:
        NotApproved: one can; the message names it and what to use instead.
    """
    for call in calls:
        what = call.destroying(variables)
        if what is not None:
            raise NotApproved(
                f"{name} asks for {what}, which can destroy data that a hold keeps, so wbgql sends it only "
                f"behind its checks of rights, target and holds. Nothing was sent; {call.effect.instead}"
            )


def read_own_operation(file: Path, name: str | None = None) -> OwnOperation:
    """Read one operation of a `.graphql` file, the only one unless `name` says which. Sends nothing.

    The file's other operations are validated as well. It may spread the package's fragments.

    Raises:
        DocumentError: with file, line and reason: not GraphQL, or not what the SDL has.
    """
    from wbgql.documents.own_file import load_own_file  # noqa: PLC0415  # imports graphql-core

    documents = load_own_file(file)
    chosen = documents.choose(name)
    return OwnOperation(documents.get(chosen), tuple(documents.calls(chosen)))


def parse_variables(operation: OwnOperation, assignments: Sequence[str], given: str | None) -> dict[str, Any]:
    """Read `name=value` texts and a JSON object into variables, checked against the operation.

    A value is text where the operation declares text (`String`, `ID`, `JSONString`, `DateTime`), JSON
    elsewhere; what is no JSON stays text, an enum's name for instance.

    Raises:
        UsageError: an unknown, missing or doubled name, or `given` is not a JSON object.
    """
    variables = _parse_object(given)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"variable {assignment!r} has no value: write {name}=VALUE")
        if name in variables:
            raise UsageError(f"variable {name!r} is given twice: once is enough")
        variables[name] = _parse_value(operation.prepared.variables.get(name), text)
    check_variables(operation.prepared, variables)
    return variables


def send_own_operation(
    session: Session, operation: OwnOperation, variables: Mapping[str, Any], *, allow_mutation: bool = False
) -> Any:
    """Send the operation and return the data as JSON has it. One request. A mutation is sent again only after
    HTTP 429, which refused it.

    Raises:
        NotApproved: a mutation without `allow_mutation`, or one that can destroy; nothing was sent.
        RequestError: the server's errors; `.data` holds what came beside them.
    """
    check_allowed(operation, variables, allow_mutation=allow_mutation)
    plain = Operation(operation.name, object)
    return session.execute_prepared(plain, operation.prepared, variables)


def check_allowed(operation: OwnOperation, variables: Mapping[str, Any], *, allow_mutation: bool) -> None:
    """Check that the operation may be sent with these variables.

    Raises:
        NotApproved: it can destroy, or it is a mutation and `allow_mutation` is not set.
    """
    if not operation.is_mutation:
        return
    check_keeps(operation.name, operation.calls, variables)
    if not allow_mutation:
        raise NotApproved(
            f"{operation.name} is a mutation ({', '.join(operation.root_fields)}): "
            "say so with allow_mutation=True; nothing was sent"
        )


def _parse_object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"variables {_short(text)} are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f'variables {_short(text)} are not a JSON object: write {{"name": value}}')
    return found


def _parse_value(variable: Variable | None, text: str) -> Any:
    if variable is not None and variable.type.rstrip("!") in _TEXT_TYPES:
        return text
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
