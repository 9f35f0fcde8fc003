"""Any operation of somebody's own: read from a file, held to the SDL, its variables read, sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wbgql.documents import Operation, Prepared, Variable
from wbgql.errors import NotApproved, UsageError
from wbgql.scalars import parse_json
from wbgql.session import Session, check_variables

# GraphQL types whose values are text on the wire: `--var name=5` is then "5", not 5.
_TEXT_TYPES = frozenset({"String", "ID", "JSONString", "DateTime"})
# Mutations that destroy. They are refused here: no gate (rights, target, holds) stands before them.
_DESTROYING = ("delete", "purge", "destroy", "remove", "rewind")
# Mutations that reach far with one call, so that the server must be named beforehand.
_FAR_REACHING = ("undelete", "modifyruns", "move")


@dataclass(frozen=True)
class OwnOperation:
    """One operation of a file, valid against the SDL. `root_fields`: what it asks of the root type."""

    prepared: Prepared
    root_fields: tuple[str, ...]

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.prepared.name

    @property
    def is_mutation(self) -> bool:
        """Whether it changes something."""
        return self.prepared.kind == "mutation"

    @property
    def destroying(self) -> tuple[str, ...]:
        """The root fields that would destroy something; such an operation is never sent."""
        return destroying_fields(self.root_fields) if self.is_mutation else ()

    @property
    def far_reaching(self) -> tuple[str, ...]:
        """The root fields that change many things with one call, or bring back what was hidden."""
        return tuple(
            name for name in self.root_fields if self.is_mutation and name.lower().startswith(_FAR_REACHING)
        )


def destroying_fields(root_fields: Sequence[str]) -> tuple[str, ...]:
    """Those of a mutation's root fields that would destroy something, by their names."""
    return tuple(name for name in root_fields if _destroys(name))


def read_own_operation(file: Path, name: str | None = None) -> OwnOperation:
    """Read one operation of a `.graphql` file, the only one unless `name` says which. Sends nothing.

    The file's other operations are validated as well. It may spread the package's fragments.

    Raises:
        DocumentError: with file, line and reason: not GraphQL, or not what the SDL has.
    """
    from wbgql.documents.own_file import load_own_file  # noqa: PLC0415  # imports graphql-core

    documents = load_own_file(file)
    chosen = documents.choose(name)
    return OwnOperation(documents.get(chosen), tuple(documents.root_fields(chosen)))


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
        NotApproved: a mutation without `allow_mutation`, or one that destroys; nothing was sent.
        RequestError: the server's errors; `.data` holds what came beside them.
    """
    check_allowed(operation, allow_mutation=allow_mutation)
    plain = Operation(operation.name, object)
    return session.execute_prepared(plain, operation.prepared, variables)


def check_allowed(operation: OwnOperation, *, allow_mutation: bool) -> None:
    """Pass quietly where the operation may be sent.

    Raises:
        NotApproved: it destroys, or it is a mutation and nobody allowed one.
    """
    if operation.destroying:
        raise NotApproved(
            f"{operation.name} asks for {', '.join(operation.destroying)}: nothing that destroys is sent "
            "without the checks of rights, target and holds; use `wbgql runs delete` or the client's delete_*"
        )
    if operation.is_mutation and not allow_mutation:
        raise NotApproved(
            f"{operation.name} is a mutation ({', '.join(operation.root_fields)}): "
            "say so with allow_mutation=True; nothing was sent"
        )


def _destroys(field: str) -> bool:
    name = field.lower().replace("undelete", "")
    return any(word in name for word in _DESTROYING)


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
