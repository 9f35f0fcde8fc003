"""Reads `.graphql` files and validates them against the SDL. Sends nothing."""

# ruff: noqa: PLC0415 - graphql-core costs 0.2 s to import, so it waits for the first document
from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wbgql.documents.effects import Call
from wbgql.documents.operations import Echo, Prepared, Variable
from wbgql.errors import DocumentError
from wbgql.forks import lazy
from wbgql.resources import client_schema_file, queries_dir, schema_file

if TYPE_CHECKING:
    from graphql import (
        DefinitionNode,
        DocumentNode,
        FieldNode,
        FragmentDefinitionNode,
        GraphQLError,
        GraphQLSchema,
        Node,
        OperationDefinitionNode,
        SelectionSetNode,
        ValueNode,
    )


_Node = TypeVar("_Node", bound="Node")


# Fields that return one named object, and the arguments that its fields of the same names repeat.
NAMED: dict[str, tuple[str, ...]] = {
    "project": ("entityName", "name"),
    "run": ("name",),
    "artifact": ("id",),
    "artifactCollection": ("name",),
    "artifactType": ("name",),
}


class Documents:
    """The operations and fragments of some folders. Files are read at the first use.

    Safe to share between threads: at worst the same file is read twice.
    """

    def __init__(self, folders: Iterable[Path], *, schema: Path | None = None) -> None:
        self._folders = tuple(folders)
        self._schema_file = schema or schema_file()
        self._prepared: dict[str, Prepared] = {}

    def get(self, name: str) -> Prepared:
        """Return one operation, ready to send; printed once, then kept.

        Raises:
            DocumentError: no such operation, or a file that cannot be read or parsed.
        """
        prepared = self._prepared.get(name)
        if prepared is None:
            prepared = self._prepared[name] = self._prepare(self.operation_node(name))
        return prepared

    @property
    def names(self) -> tuple[str, ...]:
        """Every operation's name, in the order of the folders, files and lines."""
        return tuple(self._definitions.operations)

    @property
    def fragment_names(self) -> tuple[str, ...]:
        """Every fragment's name, in the order of the folders, files and lines."""
        return tuple(self._definitions.fragments)

    @lazy
    def schema(self) -> GraphQLSchema:
        """The SDL, parsed. About 0.2 s for the packaged one, of 3000 lines.

        Raises:
            DocumentError: the file is missing, or is not a valid schema.
        """
        return load_schema(self._schema_file)

    def validate(self) -> None:
        """Check all documents together against the SDL, and `@optional` against its own rules.

        Raises:
            DocumentError: with file and line of the first mistake; the others are counted.
        """
        from graphql import DocumentNode, extend_schema, validate

        from wbgql.documents.optional_rules import check_optional

        definitions = tuple(self._definitions.all())
        schema = extend_schema(self.schema, parse_file(client_schema_file()))
        errors = validate(schema, DocumentNode(definitions=definitions))
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise _make_error(errors[0], more=more) from errors[0]
        for name, operation in self._definitions.operations.items():
            for node in (operation, *self._needed_fragments(operation)):
                if mistake := check_optional(node, query=operation.operation.value == "query"):
                    raise _error_at(mistake[0], f"{name}: {mistake[1]}")

    def operation_node(self, name: str) -> OperationDefinitionNode:
        """Return the syntax tree of an operation.

        Raises:
            DocumentError: no such operation; names that come near are in the message.
        """
        operation = self._definitions.operations.get(name)
        if operation is None:
            near = difflib.get_close_matches(name, self.names, n=3)
            hint = f", did you mean {' or '.join(map(repr, near))}" if near else ""
            folders = ", ".join(map(str, self._folders))
            raise DocumentError(f"no operation {name!r} in {folders}{hint}")
        return operation

    def calls(self, name: str) -> list[Call]:
        """What an operation asks of the root type, by the fields' own names, not their aliases."""
        from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

        operation = self.operation_node(name)
        defaults = {
            each.variable.name.value: each.default_value for each in operation.variable_definitions or ()
        }
        found: list[Call] = []
        seen: set[str] = set()
        waiting: list[Node] = list(operation.selection_set.selections)
        while waiting:
            match waiting.pop(0):
                case FieldNode() as field:
                    found.append(_make_call(field, defaults))
                case InlineFragmentNode() as inline:
                    waiting.extend(inline.selection_set.selections)
                case FragmentSpreadNode() as spread if spread.name.value not in seen:
                    seen.add(spread.name.value)
                    waiting.extend(self.fragment_node(spread.name.value).selection_set.selections)
        return found

    def fragment_node(self, name: str) -> FragmentDefinitionNode:
        """Return the syntax tree of a fragment.

        Raises:
            DocumentError: no such fragment.
        """
        fragment = self._definitions.fragments.get(name)
        if fragment is None:
            raise DocumentError(f"no fragment {name!r} in {', '.join(map(str, self._folders))}")
        return fragment

    @lazy
    def _definitions(self) -> Definitions:
        definitions = Definitions()
        for folder in self._folders:
            for file in _graphql_files(folder):
                for definition in parse_file(file).definitions:
                    definitions.add(definition)
        return definitions

    def _prepare(self, operation: OperationDefinitionNode) -> Prepared:
        from graphql import print_ast

        from wbgql.documents.tailoring import Variants

        fragments = self._needed_fragments(operation)
        file, line = _where(operation)
        assert operation.name is not None  # an anonymous one was refused when it was read
        query = operation.operation.value == "query"
        variants = Variants(operation, fragments, lambda: self.schema)
        return Prepared(
            name=operation.name.value,
            text=variants.get({}).text if query else "\n\n".join(map(print_ast, (operation, *fragments))),
            kind="query" if query else "mutation",
            variables={variable.name: variable for variable in _variables(operation)},
            file=file or "",
            line=line or 0,
            echoes=tuple(self._echoes(operation.selection_set, ())),
            variants=variants,
            about=_about(operation),
        )

    def _echoes(self, selections: SelectionSetNode, path: tuple[str, ...]) -> Iterator[Echo]:
        """Find the objects that are asked for by name or id, outermost first, and what repeats it."""
        from graphql import VariableNode

        for field in self._fields(selections):
            if field.name.value not in NAMED or field.selection_set is None:
                continue
            here = (*path, (field.alias or field.name).value)
            repeated = {
                found.name.value for found in self._fields(field.selection_set) if found.alias is None
            }
            asked = {
                given.name.value: given.value.name.value
                for given in field.arguments or ()
                if isinstance(given.value, VariableNode)
            }
            for name in NAMED[field.name.value]:
                if name in asked and name in repeated:
                    yield Echo((*here, name), asked[name])
            yield from self._echoes(field.selection_set, here)

    def _fields(self, selections: SelectionSetNode) -> Iterator[FieldNode]:
        """The fields of a selection, those of its fragments among them."""
        from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

        for node in selections.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self._fields(self.fragment_node(node.name.value).selection_set)
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set)

    def _needed_fragments(self, operation: OperationDefinitionNode) -> list[FragmentDefinitionNode]:
        """The fragments an operation needs, and those that they need, each once."""
        needed: dict[str, FragmentDefinitionNode] = {}
        waiting: list[Node] = [operation]
        while waiting:
            for name in spreads_of(waiting.pop()):
                if name not in needed:
                    needed[name] = self.fragment_node(name)
                    waiting.append(needed[name])
        return [needed[name] for name in sorted(needed)]


def _make_call(field: FieldNode, defaults: Mapping[str, ValueNode | None]) -> Call:
    """The call that a field of a mutation is; a variable with a default counts as given in the document."""
    from graphql import ObjectValueNode, VariableNode

    literal: set[str] = set()
    variables: dict[str, str] = {}
    whole: str | None = None
    for argument in field.arguments or ():
        value: ValueNode | None = argument.value
        if isinstance(value, VariableNode):
            whole = value.name.value
            value = defaults.get(whole)
        for part in value.fields if isinstance(value, ObjectValueNode) else ():
            if isinstance(part.value, VariableNode) and defaults.get(part.value.name.value) is None:
                variables[part.name.value] = part.value.name.value
            else:
                literal.add(part.name.value)
    return Call(field.name.value, frozenset(literal), variables, whole)


class Definitions:
    """What the files define, by name; refuses what cannot be named or is named twice."""

    def __init__(self) -> None:
        self.operations: dict[str, OperationDefinitionNode] = {}
        self.fragments: dict[str, FragmentDefinitionNode] = {}

    def all(self) -> Iterator[DefinitionNode]:
        yield from self.operations.values()
        yield from self.fragments.values()

    def add(self, definition: DefinitionNode) -> None:
        from graphql import FragmentDefinitionNode, OperationDefinitionNode

        if isinstance(definition, FragmentDefinitionNode):
            _add_once(self.fragments, definition.name.value, definition, "fragment")
        elif not isinstance(definition, OperationDefinitionNode):
            raise _error_at(definition, "only operations and fragments belong here, not types")
        elif definition.name is None:
            raise _error_at(definition, "the operation has no name")
        elif definition.operation.value == "subscription":
            raise _error_at(definition, f"{definition.name.value!r} is a subscription; W&B has none")
        else:
            operation = definition
            if definition.loc is not None and "@repeat" in definition.loc.source.body:
                from wbgql.documents.repeating import repeat_fields

                try:
                    operation = repeat_fields(definition)
                except ValueError as error:
                    raise _error_at(definition, f"{definition.name.value}: {error}") from error
            _add_once(self.operations, definition.name.value, operation, "operation")


def load_documents(
    *folders: Path,
    schema: Path | None = None,
    validate: bool | None = None,
    packaged: Path | None = None,
) -> Documents:
    """Return this package's documents with those of `folders` beside them.

    Users' operations may spread our fragments. Folders are not searched recursively.
    `validate` None: validated if there are `folders`, so that a mistake shows here and not
    in the middle of a job; our own are validated by the tests and by `wbgql schema check`.
    Validation costs about 0.3 s (the SDL 0.2 s), besides the 0.2 s that graphql-core takes to
    import anyway. `packaged` names another folder in place of our own, `schema` another SDL.

    Raises:
        DocumentError: with file, line and reason.
    """
    if not folders and not validate and schema is None and packaged is None:
        return _packaged_documents()
    documents = Documents((packaged or queries_dir(), *folders), schema=schema)
    if validate or (validate is None and folders):
        documents.validate()
    return documents


@cache
def _packaged_documents() -> Documents:
    return Documents((queries_dir(),))


@cache
def load_schema(file: Path) -> GraphQLSchema:
    """Parse an SDL file; kept for the life of the process.

    Raises:
        DocumentError: the file is missing, or is not a valid schema.
    """
    from graphql import GraphQLError, assert_valid_schema, build_ast_schema

    document = parse_file(file)
    try:
        schema = build_ast_schema(document)
        assert_valid_schema(schema)
    except GraphQLError as error:
        raise _make_error(error) from error
    except TypeError as error:
        # graphql-core joins what it finds in an SDL into one TypeError, without lines.
        raise DocumentError(str(error).replace("\n\n", "; "), file=str(file)) from error
    return schema


def _graphql_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DocumentError("no such folder of .graphql files", file=str(folder))
    files = sorted(file for file in folder.glob("*.graphql") if file.is_file())
    if not files:
        raise DocumentError("the folder holds no .graphql file", file=str(folder))
    return files


def parse_file(file: Path) -> DocumentNode:
    """Parse one file.

    Raises:
        DocumentError: it cannot be read, or is not GraphQL.
    """
    from graphql import GraphQLSyntaxError, Source, parse

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"cannot be read: {_reason(error)}", file=str(file)) from error
    try:
        return parse(Source(text, name=str(file)))
    except GraphQLSyntaxError as error:
        raise _make_error(error) from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not UTF-8"


def _add_once(known: dict[str, _Node], name: str, definition: _Node, what: str) -> None:
    first = known.setdefault(name, definition)
    if first is not definition:
        file, line = _where(first)
        raise _error_at(definition, f"{what} {name!r} is already defined in {file}:{line}")


def _variables(operation: OperationDefinitionNode) -> Iterator[Variable]:
    from graphql import NonNullTypeNode, print_ast

    for definition in operation.variable_definitions or ():
        required = isinstance(definition.type, NonNullTypeNode) and definition.default_value is None
        yield Variable(definition.variable.name.value, print_ast(definition.type), required)


def spreads_of(node: Node) -> list[str]:
    """Names of the fragments that a node spreads."""
    from graphql import FragmentSpreadNode, Visitor, visit

    names: list[str] = []

    class Collect(Visitor):
        def enter_fragment_spread(self, spread: FragmentSpreadNode, *_args: Any) -> None:
            names.append(spread.name.value)

    visit(node, Collect())
    return names


def _about(operation: OperationDefinitionNode) -> str:
    """The first sentence of the comment right above an operation."""
    lines: list[str] = []
    token = operation.loc.start_token.prev if operation.loc is not None else None
    while token is not None and token.kind.value == "Comment":
        lines.append((token.value or "").strip())
        token = token.prev
    return " ".join(reversed(lines)).split(". ")[0].rstrip(".:")


def _where(node: Any) -> tuple[str | None, int | None]:
    loc = node.loc
    return (None, None) if loc is None else (loc.source.name, loc.start_token.line)


def _error_at(node: Node, reason: str) -> DocumentError:
    file, line = _where(node)
    return DocumentError(reason, file=file, line=line)


def _make_error(error: GraphQLError, *, more: str = "") -> DocumentError:
    # GraphQL's own sentences are kept: they name the field, its type and near names.
    reason = error.message.rstrip(".") + more
    if error.source is not None and error.locations:
        return DocumentError(reason, file=error.source.name, line=error.locations[0].line)
    return _error_at(error.nodes[0], reason) if error.nodes else DocumentError(reason)
