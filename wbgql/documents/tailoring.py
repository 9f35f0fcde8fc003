"""Makes the text of a query for one server and one call: without what neither needs. Sends nothing.

Left out are the parts that a call switches off (`@include`, `@skip`), because a server that lacks a field
refuses it even there, and the `@optional` parts that the server's schema lacks. A part that goes takes the
variables and fragments with it that only it used. Imports graphql-core at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListTypeNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    Node,
    NonNullTypeNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    TypeNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_composite_type,
    print_ast,
    visit,
)

_Node = TypeVar("_Node", bound=Node)

OPTIONAL = "optional"
_SWITCHES = {"include": True, "skip": False}

# What GraphQL servers say of a field, argument or type that their schema lacks. Source: graphql-js, gqlgen's
# gqlparser, graphql-go and graphql-ruby, messages of their validation rules (2026-11).
_Q = "[\"'`]?"
_FIELD = (
    re.compile(rf"cannot query field {_Q}(?P<field>\w+){_Q} on type {_Q}(?P<type>\w+)", re.IGNORECASE),
    re.compile(rf"field {_Q}(?P<field>\w+){_Q} doesn't exist on type {_Q}(?P<type>\w+)", re.IGNORECASE),
)
_ARGUMENT = (
    re.compile(
        rf"unknown argument {_Q}(?P<argument>\w+){_Q} on field {_Q}(?:(?P<owner>\w+)\.)?(?P<field>\w+){_Q}"
        rf"(?: of type {_Q}(?P<type>\w+))?",
        re.IGNORECASE,
    ),
    re.compile(rf"field {_Q}(?P<field>\w+){_Q} doesn't accept argument {_Q}(?P<argument>\w+)", re.IGNORECASE),
)
_INPUT = (
    re.compile(rf"field {_Q}(?P<field>\w+){_Q} is not defined by type {_Q}(?P<type>\w+)", re.IGNORECASE),
    re.compile(
        rf"value of type {_Q}(?P<type>\w+)!?{_Q} not to include unknown field {_Q}(?P<field>\w+)",
        re.IGNORECASE,
    ),
)
# Source: graphql-js and graphql-core (`the field '__type'`), Apollo Server (`__schema or __type`) and gqlgen
# (`introspection disabled`), 2026-12.
_INTROSPECTION = re.compile(rf"introspection\b.*?(?:\bfield {_Q}(?P<field>\w+){_Q}|$)", re.IGNORECASE)
_TYPE = re.compile(rf"unknown type {_Q}(?P<type>\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text:
    """A text to send, and the names of the variables that it declares."""

    text: str
    variables: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lacks:
    """What a server refused an operation for: `Run.storageBytes`, `Run.config(keys:)`, or the name of a type.

    `optional`: what the operation can do without. `needed`: what it cannot.
    """

    optional: frozenset[str]
    needed: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Selected:
    """A field of a document, the type that it is on, and whether it can go."""

    node: FieldNode
    parent: GraphQLNamedType | None
    is_optional: bool

    @property
    def key(self) -> str:
        return (self.node.alias or self.node.name).value

    @property
    def coordinate(self) -> str:
        return _coordinate(self.parent, self.node)


class _Missing(Exception):
    """Part of a walk: something is missing that nothing above it can do without."""


class Variants:
    """The texts that one query can be sent as. Each is made once. Safe to share between threads."""

    def __init__(
        self,
        operation: OperationDefinitionNode,
        fragments: Iterable[FragmentDefinitionNode],
        schema: Callable[[], GraphQLSchema],
    ) -> None:
        self._operation = operation
        self._fragments = {fragment.name.value: fragment for fragment in fragments}
        self._schema = schema
        self._defaults = {
            each.variable.name.value: each.default_value.value
            for each in operation.variable_definitions or ()
            if isinstance(each.default_value, BooleanValueNode)
        }
        self._switches = sorted(set(self._find_switches()))
        self._texts: dict[tuple[tuple[bool | None, ...], frozenset[str]], Text] = {}

    def get(self, variables: Mapping[str, Any], missing: frozenset[str] = frozenset()) -> Text:
        """Return the text for these values of the switches, without what is `missing` and optional.

        If something is missing that the operation cannot do without, nothing is left out for it: the
        server says so best, and may have learned it since.
        """
        values = {name: self._switch(variables, name) for name in self._switches}
        key = (tuple(values.values()), missing)
        made = self._texts.get(key)
        if made is None:
            try:
                made = self._make(values, missing)
            except _Missing:
                made = self._make(values, frozenset())
            self._texts[key] = made
        return made

    def lacks(self, messages: Iterable[str]) -> Lacks | None:
        """Return what a server's messages say that its schema lacks; None if they say nothing of the kind."""
        optional: set[str] = set()
        needed: set[str] = set()
        uses = list(self._uses())
        for message in messages:
            for coordinate in _named(message, uses):
                (optional if coordinate in uses and self._can_go(coordinate) else needed).add(coordinate)
        return Lacks(frozenset(optional), frozenset(needed)) if optional or needed else None

    def optional_at(self, path: Sequence[object]) -> str | None:
        """Return the coordinate of the outermost optional field on the path of an error, if there is one.

        `path` is that of GraphQL: the keys of the answer, and numbers for places in lists.
        """
        selections: SelectionSetNode | None = self._operation.selection_set
        parent: GraphQLNamedType | None = self._schema().get_root_type(self._operation.operation)
        for key in path:
            if not isinstance(key, str):
                continue
            found = next((one for one in self._fields(selections, parent, False) if one.key == key), None)
            if found is None:
                return None
            if found.is_optional:
                return found.coordinate
            selections = found.node.selection_set
            parent = _type_of(self._schema(), found.node.name.value, found.parent)
        return None

    def _fields(
        self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None, is_optional: bool
    ) -> Iterator[_Selected]:
        """The fields of a selection, those of its fragments among them."""
        for node in () if selections is None else selections.selections:
            marks = [one for one in node.directives or () if one.name.value == OPTIONAL]
            marked = is_optional or any(arguments_of(one) is None for one in marks)
            if isinstance(node, FieldNode):
                yield _Selected(node, parent, marked)
                continue
            within = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(within, (FragmentDefinitionNode, InlineFragmentNode))
            named = within.type_condition and self._schema().get_type(within.type_condition.name.value)
            yield from self._fields(within.selection_set, named or parent, marked)

    def _can_go(self, coordinate: str) -> bool:
        """Whether the operation can do without, with every switch on."""
        try:
            self._make(dict.fromkeys(self._switches), frozenset({coordinate}))
        except _Missing:
            return False
        return True

    def _switch(self, variables: Mapping[str, Any], name: str) -> bool | None:
        value = variables.get(name, self._defaults.get(name))
        return value if isinstance(value, bool) else None

    def _find_switches(self) -> Iterator[str]:
        for node in (self._operation, *self._fragments.values()):
            for directive in _directives_in(node):
                for argument in directive.arguments or ():
                    if directive.name.value in _SWITCHES and isinstance(argument.value, VariableNode):
                        yield argument.value.name.value

    def _make(self, values: Mapping[str, bool | None], missing: frozenset[str]) -> Text:
        walk = _Walk(self._operation, self._fragments, self._schema, values, missing)
        operation = walk.operation()
        nodes = [operation, *(walk.fragments[name] for name in sorted(_reached(operation, walk.fragments)))]
        used = {name for node in nodes for name in _variables_in(node)}
        kept = tuple(
            each for each in operation.variable_definitions or () if each.variable.name.value in used
        )
        nodes[0] = _changed(operation, variable_definitions=kept)
        return Text("\n\n".join(map(print_ast, nodes)), frozenset(used))

    def _uses(self) -> Iterator[str]:
        """The coordinates of the whole document."""
        walk = _Walk(self._operation, self._fragments, self._schema, {}, frozenset({""}))
        walk.operation()
        yield from sorted(walk.seen)


class _Walk:
    """One walk through a document, which copies what stays. Types are known where something is missing."""

    def __init__(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        schema: Callable[[], GraphQLSchema],
        values: Mapping[str, bool | None],
        missing: frozenset[str],
    ) -> None:
        self._operation = operation
        self._definitions = fragments
        # The SDL takes 0.2 s to read, so it is left alone while the server lacks nothing.
        self._schema = schema() if missing else None
        self._values = values
        self._missing = missing
        self._types = {
            each.variable.name.value: _type_name(each.type) for each in operation.variable_definitions or ()
        }
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self.seen: set[str] = set()

    def operation(self) -> OperationDefinitionNode:
        root = self._schema.get_root_type(self._operation.operation) if self._schema is not None else None
        return _changed(self._operation, selection_set=self._selections(self._operation.selection_set, root))

    def _selections(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> SelectionSetNode:
        kept: list[SelectionNode] = []
        for node in selections.selections:
            directives = list(node.directives or ())
            if any(self._is_on(directive) is False for directive in directives):
                continue
            optional = next((one for one in directives if one.name.value == OPTIONAL), None)
            arguments = arguments_of(optional)
            try:
                made = self._node(node, parent, arguments or ())
            except _Missing:
                if optional is None or arguments is not None:
                    raise
                continue
            stay = [one for one in directives if one is not optional and self._is_on(one) is None]
            kept.append(_changed(made, directives=tuple(stay)))
        # An object that is left without fields is still asked whether it is there.
        return _changed(selections, selections=tuple(kept) or (FieldNode(name=NameNode(value="__typename")),))

    def _node(
        self, node: SelectionNode, parent: GraphQLNamedType | None, droppable: Sequence[str]
    ) -> SelectionNode:
        if isinstance(node, FieldNode):
            return self._field(node, parent, droppable)
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            narrower = self._narrower(None if condition is None else condition.name.value, parent)
            return _changed(node, selection_set=self._selections(node.selection_set, narrower))
        assert isinstance(node, FragmentSpreadNode)
        name = node.name.value
        fragment = self._definitions[name]
        on_type = fragment.type_condition.name.value
        if on_type in self._missing and parent is not None and parent.name == on_type:
            # The server calls this type by another name: its fields are asked for without saying the name.
            self.seen.add(on_type)
            within = self._selections(fragment.selection_set, parent)
            return InlineFragmentNode(type_condition=None, directives=(), selection_set=within)
        if name not in self.fragments:
            narrower = self._narrower(on_type, parent)
            self.fragments[name] = _changed(
                fragment, selection_set=self._selections(fragment.selection_set, narrower)
            )
        return node

    def _narrower(self, name: str | None, parent: GraphQLNamedType | None) -> GraphQLNamedType | None:
        if name is None:
            return parent
        self._check(name)
        return self._schema.get_type(name) if self._schema is not None else None

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, droppable: Sequence[str]) -> FieldNode:
        coordinate = _coordinate(parent, node)
        self._check(coordinate)
        kept: list[ArgumentNode] = []
        for argument in node.arguments or ():
            try:
                self._check(f"{coordinate}({argument.name.value}:)")
                for variable in _variables_in(argument):
                    self._check(self._types[variable])
            except _Missing:
                if argument.name.value not in droppable:
                    raise
                continue
            kept.append(argument)
        below = node.selection_set
        if below is not None:
            below = self._selections(below, _type_of(self._schema, node.name.value, parent))
        return _changed(node, arguments=tuple(kept), selection_set=below)

    def _check(self, coordinate: str) -> None:
        self.seen.add(coordinate)
        if coordinate in self._missing:
            raise _Missing(coordinate)

    def _is_on(self, directive: DirectiveNode) -> bool | None:
        """Whether a switch lets its part through; None: it is no switch, or its value is not known."""
        wanted = _SWITCHES.get(directive.name.value)
        value = directive.arguments[0].value if directive.arguments else None
        given: bool | None = None
        if isinstance(value, BooleanValueNode):
            given = value.value
        elif isinstance(value, VariableNode):
            given = self._values.get(value.name.value)
        return None if wanted is None or given is None else given is wanted


def _coordinate(parent: GraphQLNamedType | None, field: FieldNode) -> str:
    return f"{parent.name if parent is not None else '?'}.{field.name.value}"


def _type_of(
    schema: GraphQLSchema | None, field: str, parent: GraphQLNamedType | None
) -> GraphQLNamedType | None:
    if schema is None or parent is None or not is_composite_type(parent):
        return None
    found = schema.get_field(parent, field)
    return None if found is None else get_named_type(found.type)


def _named(message: str, uses: Sequence[str]) -> list[str]:
    """The coordinates among `uses` that a message says the schema lacks.

    A server may call a type by another name than our SDL. Then every use of the field counts.
    """
    for pattern in _ARGUMENT:
        if found := pattern.search(message):
            parts = found.groupdict()
            return _closest(uses, parts.get("owner") or parts.get("type"), parts["field"], parts["argument"])
    for pattern in _FIELD:
        if found := pattern.search(message):
            return _closest(uses, found["type"], found["field"], None)
    for pattern in _INPUT:  # of inputs, the document is not asked: none can be left out
        if found := pattern.search(message):
            return [f"{found['type']}.{found['field']}"]
    if found := _INTROSPECTION.search(message):
        return _closest(uses, None, found["field"] or "__type", None)
    found = _TYPE.search(message)
    return [found["type"]] if found and found["type"] in uses else []


def _closest(uses: Sequence[str], owner: str | None, field: str, argument: str | None) -> list[str]:
    end = f".{field}" + (f"({argument}:)" if argument else "")
    exact = f"{owner}{end}"
    return [exact] if exact in uses else [use for use in uses if use.endswith(end)]


def may_leave_out(directive: DirectiveNode) -> bool:
    """Whether a directive can keep its part out of an answer."""
    name = directive.name.value
    return name in _SWITCHES or (name == OPTIONAL and arguments_of(directive) is None)


def arguments_of(optional: DirectiveNode | None) -> list[str] | None:
    """The arguments that `@optional` says a field can do without; None: the field itself can go."""
    for argument in optional.arguments or () if optional is not None else ():
        if isinstance(argument.value, ListValueNode):
            return [each.value for each in argument.value.values if isinstance(each, StringValueNode)]
        if isinstance(argument.value, StringValueNode):
            return [argument.value.value]
    return None


def _reached(node: Any, fragments: Mapping[str, FragmentDefinitionNode]) -> set[str]:
    """The fragments that a node needs, and those that they need."""
    reached: set[str] = set()
    waiting = [node]
    while waiting:
        for name in _spreads_in(waiting.pop()) - reached:
            reached.add(name)
            waiting.append(fragments[name])
    return reached


def _spreads_in(node: Any) -> set[str]:
    return {each.name.value for each in _nodes_in(node, "fragment_spread")}


def _variables_in(node: Any) -> set[str]:
    """The variables that a node uses, without those that it only declares."""
    declared = {id(each.variable) for each in _nodes_in(node, "variable_definition")}
    return {each.name.value for each in _nodes_in(node, "variable") if id(each) not in declared}


def _directives_in(node: Any) -> list[DirectiveNode]:
    return _nodes_in(node, "directive")


def _nodes_in(node: Any, kind: str) -> list[Any]:
    found: list[Any] = []

    class Collect(Visitor):
        def enter(self, each: Any, *_args: Any) -> None:
            if each.kind == kind:
                found.append(each)

    visit(node, Collect())
    return found


def _type_name(type_: TypeNode) -> str:
    while isinstance(type_, (NonNullTypeNode, ListTypeNode)):
        type_ = type_.type
    assert isinstance(type_, NamedTypeNode)
    return type_.name.value


def _changed(node: _Node, **changes: Any) -> _Node:
    """A copy of a node with other values."""
    return type(node)(**{key: getattr(node, key) for key in node.keys} | changes)


__all__ = ["OPTIONAL", "Lacks", "Text", "Variants", "arguments_of", "may_leave_out"]
