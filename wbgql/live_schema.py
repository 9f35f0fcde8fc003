"""What of the packaged operations a server's own schema can answer. Sends queries only.

Imports graphql-core at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphql import (
    FieldNode,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_client_schema,
    get_introspection_query,
    parse,
    print_ast,
    validate,
)

from wbgql.documents import Documents, Operation, Prepared
from wbgql.documents.coordinates import coordinates_of, has_coordinate
from wbgql.documents.result_types import Misfit, find_misfits
from wbgql.errors import ResponseError, ResultError
from wbgql.progress import NoProgress, Progress
from wbgql.wire.session import Session

Outcome = Literal["works", "works without", "does not work", "not checked"]

# No schema has them, so that a document that asks for them is refused before anything of it is run. There are
# two, at the end of the text: a server that names only one names its first mistake only, and proves less.
_IMPOSSIBLE = ("wbgqlAsksForNoSuchField", "wbgqlAsksForNoOtherField")
# A server may name its first mistake only. If it is one of these, nothing of the document was run.
_OF_VALIDATION = re.compile(
    r"cannot query field|unknown (argument|type)|doesn't (exist on type|accept argument)", re.IGNORECASE
)
_QUOTED = re.compile(r" Did you mean .*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a server's schema means for one operation.

    `without`: the optional parts that it is sent without. `reasons`: why it does not work, or was not
    checked, in the words of the validation. `unless`: what an answer may hold that ends it, a null for
    example. `lacks`: the coordinates that the server was found to lack. `about`: what the operation is for.
    """

    operation: str
    kind: Literal["query", "mutation"]
    outcome: Outcome
    without: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True, slots=True)
class CommandFinding:
    """What a server's schema means for a command that can send several operations.

    `works`: each of them. `works without`: each, some without their optional parts. `works in part`: not
    what sends those of `broken`. `does not work`, `not checked`: none of them.
    """

    command: str
    outcome: Literal["works", "works without", "works in part", "does not work", "not checked"]
    without: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """What was found, in the order of the documents. `introspected`: the server gave its schema.

    `present` and `absent`: the coordinates of the operations that the schema has and lacks, as far as known.
    """

    introspected: bool
    findings: tuple[Finding, ...]
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()

    def named(self, outcome: Outcome) -> list[str]:
        """The names of the operations that came to this outcome."""
        return [each.operation for each in self.findings if each.outcome == outcome]

    def by_command(self, uses: Mapping[str, Iterable[str]]) -> list[CommandFinding]:
        """What it means for each command; `uses` names the operations that it can send."""
        found = {each.operation: each for each in self.findings}
        return [
            _command_finding(command, [found[name] for name in names if name in found])
            for command, names in uses.items()
        ]


def _command_finding(command: str, findings: list[Finding]) -> CommandFinding:
    names: dict[Outcome, tuple[str, ...]] = {
        outcome: tuple(each.operation for each in findings if each.outcome == outcome)
        for outcome in ("does not work", "not checked")
    }
    without = tuple(sorted({part for each in findings for part in each.without}))
    broken, unknown = names["does not work"], names["not checked"]
    for outcome, those in names.items():
        if those and len(those) == len(findings):
            return CommandFinding(command, outcome, without, broken, unknown)
    return CommandFinding(
        command,
        "works in part" if broken else "works without" if without else "works",
        without,
        broken,
        unknown,
    )


def check_live(
    session: Session,
    documents: Documents,
    operations: Iterable[Operation[Any]] = (),
    *,
    progress: Progress | None = None,
) -> LiveCheck:
    """Check every operation of `documents` against the server's schema, and its result type if it has one.

    `operations` have the result types. The types of fields can be checked only if the server shows its
    schema.

    One request if the server allows introspection. If not, one for each query: each is sent with a field
    that no schema has, so that the server refuses it and says what else it lacks. Nothing of it runs.
    Mutations are then not checked. If a server answers a query of this kind with data, it does not
    validate, and the rest is not checked. If it names one mistake at a time, what it does not fault
    is not checked.

    Raises:
        RequestError: the server cannot be reached, or refuses the key.
    """
    prepared = [documents.get(name) for name in documents.names]
    schema = _introspect(session)

    def used_by(each: Prepared, without: Iterable[str] = ()) -> set[str]:
        text = each.text if each.variants is None else each.variants.get({}, frozenset(without)).text
        return coordinates_of(parse(text), documents.schema)

    if schema is not None:
        typed = {each.name: each for each in operations}
        found = tuple(_by_schema(each, schema, typed.get(each.name)) for each in prepared)
        every = frozenset().union(*map(used_by, prepared))
        present = frozenset(each for each in every if has_coordinate(schema, each))
        return LiveCheck(True, found, present, every - present)
    found = tuple(_by_refusals(session, prepared, progress or NoProgress()))
    # A server's words may name anything: only what the documents use is taken from them.
    absent = frozenset().union(
        *(used_by(each) & set(its.lacks) for each, its in zip(prepared, found, strict=True))
    )
    working = (
        used_by(each, its.without)
        for each, its in zip(prepared, found, strict=True)
        if its.outcome in ("works", "works without")
    )
    return LiveCheck(False, found, frozenset().union(*working) - absent, absent)


def _introspect(session: Session) -> GraphQLSchema | None:
    text = get_introspection_query(descriptions=False)
    try:
        found = session.execute_prepared(Operation("IntrospectionQuery", object), _prepared(text), {})
        # What graphql-core calls invalid, a reserved name for one, does not matter to the operations.
        return build_client_schema(found, assume_valid=True)  # type: ignore[arg-type]
    except (ResponseError, ResultError, TypeError, ValueError, KeyError):
        return None


def _by_schema(prepared: Prepared, schema: GraphQLSchema, operation: Operation[Any] | None) -> Finding:
    def misfits_in(text: str) -> list[Misfit]:
        return [] if operation is None else find_misfits(schema, text, operation)

    return _finding(
        prepared, lambda text: [error.message for error in validate(schema, parse(text))], misfits_in
    )


def _by_refusals(session: Session, prepared: list[Prepared], progress: Progress) -> Iterator[Finding]:
    stopped: str | None = None
    for number, each in enumerate(prepared):
        progress.report(number, len(prepared))
        if each.kind == "mutation":
            yield _not_checked(each, "the server hides its schema, and mutations are not sent to try them")
            continue
        if stopped is not None:
            yield _not_checked(each, stopped)
            continue
        try:
            yield _finding(each, lambda text: _refusals(session, text))
        except _OneMistakeOnly as error:
            yield _not_checked(each, str(error))
        except _NotRefused as error:
            stopped = str(error)
            yield _not_checked(each, stopped)


class _NotRefused(Exception):
    """A server did not refuse the impossible fields: what it says of the others proves nothing."""


class _OneMistakeOnly(Exception):
    """A server names one mistake of a document, so that naming no other proves nothing."""


def _refusals(session: Session, text: str) -> list[str]:
    """What a server's validation says of a query, by making it one that cannot run."""
    document = parse(text)
    operation = next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    impossible = [FieldNode(name=NameNode(value=name)) for name in _IMPOSSIBLE]
    changed = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=(*operation.selection_set.selections, *impossible)),
    )
    others = [each for each in document.definitions if each is not operation]
    made = "\n\n".join(print_ast(each) for each in (*others, changed))
    name = operation.name.value if operation.name is not None else ""
    try:
        session.execute_prepared(Operation(name, object), _prepared(made, name), {})
    except ResponseError as error:
        messages = [str(each.get("message")) for each in error.errors if isinstance(each, dict)]
        found = [message for message in messages if not any(name in message for name in _IMPOSSIBLE)]
        if len(found) == len(messages) and not any(map(_OF_VALIDATION.search, found)):
            reason = f"the server does not say which fields it lacks: {error.said or error}"
            raise _NotRefused(reason) from error
        if not found and not all(any(name in message for message in messages) for name in _IMPOSSIBLE):
            raise _OneMistakeOnly("the server names one mistake only, which may hide others") from error
        return found
    raise _NotRefused("the server answers a field that does not exist")


def _finding(
    prepared: Prepared,
    mistakes_in: Callable[[str], list[str]],
    misfits_in: Callable[[str], list[Misfit]] = lambda _text: [],
) -> Finding:
    without: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()

    def unknown() -> list[str]:
        """What the results then lack: a type that the server calls by another name leaves out nothing."""
        return sorted(each for each in without if "." in each)

    def made(outcome: Outcome, reasons: Iterable[str] = (), unless: Iterable[str] = ()) -> Finding:
        return Finding(
            prepared.name,
            prepared.kind,
            outcome,
            tuple(unknown()),
            tuple(reasons),
            tuple(unless),
            tuple(sorted(without | needed)),
            prepared.about,
        )

    while True:
        text = prepared.text if prepared.variants is None else prepared.variants.get({}, without).text
        mistakes = _short(mistakes_in(text))
        if not mistakes:
            misfits = misfits_in(text)
            unless = [str(each) for each in misfits if not each.certain]
            if wrong := [str(each) for each in misfits if each.certain]:
                return made("does not work", wrong, unless)
            return made("works without" if unknown() else "works", unless=unless)
        lacks = None if prepared.variants is None else prepared.variants.lacks(mistakes)
        if lacks is None or lacks.needed or lacks.optional <= without:
            needed = frozenset() if lacks is None else lacks.needed
            return made("does not work", mistakes)
        without |= lacks.optional


def _not_checked(prepared: Prepared, reason: str) -> Finding:
    return Finding(prepared.name, prepared.kind, "not checked", reasons=(reason,), about=prepared.about)


def _short(messages: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(_QUOTED.sub("", message) for message in messages))


def _prepared(text: str, name: str = "IntrospectionQuery") -> Prepared:
    variables: dict[str, Any] = {}
    return Prepared(name=name, text=text, kind="query", variables=variables, file="", line=0)
