"""Checks every operation against its result type: names, nullability, lists, scalars. No I/O of its own.

For tests and `wbgql schema check`; imports graphql-core at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    is_composite_type,
    parse,
)
from msgspec import inspect

from wbgql.documents.loading import Documents
from wbgql.documents.operations import Operation
from wbgql.documents.tailoring import may_leave_out
from wbgql.errors import DocumentError

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType

# What each scalar may decode into. Any and Raw always may; a scalar not listed may be anything.
# Source: wire forms as the SDK's generated clients bind them (wandb SDK `genqlient.yaml`, 2026-08).
_SCALARS: dict[str, tuple[type[inspect.Type], ...]] = {
    "ID": (inspect.StrType,),
    "String": (inspect.StrType,),
    "JSONString": (inspect.StrType,),
    "DateTime": (inspect.StrType, inspect.DateTimeType),
    "Int": (inspect.IntType, inspect.FloatType),
    "Int64": (inspect.IntType,),
    "Duration": (inspect.IntType,),
    "Float": (inspect.FloatType,),
    "Boolean": (inspect.BoolType,),
}
_ANYTHING = (inspect.AnyType, inspect.RawType)
# What arrives as a text, and may then fit.
_TEXTS = ("ID", "String")
_FROM_TEXT = (inspect.DateTimeType, inspect.LiteralType, inspect.EnumType)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Where an answer does not fit its type. `certain`: each answer; otherwise some, a null for example."""

    path: str
    reason: str
    certain: bool = True

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def check_result_types(documents: Documents, operations: Iterable[Operation[Any]]) -> None:
    """Check that what each operation selects decodes into its result type, and nothing is missing.

    Every selected name has a field and every field without a default is selected; what may
    be null in the SDL may be None in the type; lists are lists; scalars and enums fit. What is not
    selected, or what `@include`, `@skip`, `@optional` or a narrower type condition may leave out, is
    `NOT_FETCHED` by default, since it must not look null or empty. A union of Structs tagged with
    `__typename` is checked per tag. Operations whose result is not a Struct (users' own `dict`) are not
    looked into.

    Raises:
        DocumentError: naming file, operation and path of the first that does not fit.
    """
    for operation in operations:
        node = documents.operation_node(operation.name)
        for misfit in _misfits(documents.schema, node, documents.fragment_node, operation):
            prepared = documents.get(operation.name)
            raise DocumentError(f"{operation.name}: {misfit}", file=prepared.file, line=prepared.line)


def find_misfits(schema: GraphQLSchema, text: str, operation: Operation[Any]) -> list[Misfit]:
    """Return where the answers of a server with this schema do not fit the result type of an operation.

    `text` must be valid in the schema. It may lack parts that are `@optional`.
    """
    definitions = parse(text).definitions
    (node,) = (each for each in definitions if isinstance(each, OperationDefinitionNode))
    fragments = {each.name.value: each for each in definitions if isinstance(each, FragmentDefinitionNode)}
    return _misfits(schema, node, fragments.__getitem__, operation)


def _misfits(
    schema: GraphQLSchema,
    node: OperationDefinitionNode,
    fragment: Callable[[str], FragmentDefinitionNode],
    operation: Operation[Any],
) -> list[Misfit]:
    result = inspect.type_info(operation.result)
    if not isinstance(result, inspect.StructType):
        return []
    root = schema.get_root_type(node.operation)
    if root is None:
        return [Misfit("data", f"has no {node.operation.value} type to come from")]
    check = _Check(schema, fragment)
    check.struct(result, root, node.selection_set.selections, "data")
    return check.found


@dataclass(slots=True)
class _Selected:
    """One response name: the field behind it, and what is selected below it."""

    type: GraphQLOutputType
    always: bool
    below: list[SelectionNode] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Check:
    """The walk through one operation; `found` gathers what does not fit."""

    schema: GraphQLSchema
    definition_of: Callable[[str], FragmentDefinitionNode]
    found: list[Misfit] = field(default_factory=list)

    def struct(
        self, struct: inspect.StructType, parent: Composite, selections: Iterable[SelectionNode], path: str
    ) -> None:
        selected: dict[str, _Selected] = {}
        self.collect(selected, parent, selections, always=True)
        fields = {field.encode_name: field for field in struct.fields}
        for name, found in selected.items():
            if name in fields:
                self.field(fields[name], found, f"{path}.{name}")
            elif name not in ("__typename", struct.tag_field):
                self.fail(f"{path}.{name}", f"is selected, but {struct.cls.__name__} has no field for it")
        for name in fields.keys() - selected.keys():
            if fields[name].required:
                self.fail(f"{path}.{name}", f"is required by {struct.cls.__name__}, but not selected")
            self.left_out(fields[name], f"{path}.{name}")
        if struct.tag_field is not None and struct.tag_field not in selected:
            self.fail(f"{path}.{struct.tag_field}", f"tells {struct.cls.__name__} apart, but is not selected")

    def collect(
        self,
        selected: dict[str, _Selected],
        parent: Composite,
        selections: Iterable[SelectionNode],
        *,
        always: bool,
    ) -> None:
        """Gather what may come back for `parent`, by response name, fragments spread out."""
        for node in selections:
            sure = always and not any(map(may_leave_out, node.directives or ()))
            if isinstance(node, FieldNode):
                self.add(selected, parent, node, always=sure)
                continue
            condition, below = self.fragment(node)
            narrower = parent if condition is None else self.schema.get_type(condition)
            if self.may_be(parent, narrower):
                # Known to be at least `parent`; a fragment on something wider adds nothing less.
                fits = self.is_a(parent, narrower)
                scope = parent if fits and is_object(parent) else narrower
                self.collect(selected, as_composite(scope), below, always=sure and fits)

    def fragment(self, node: SelectionNode) -> tuple[str | None, Iterable[SelectionNode]]:
        """The type condition of a fragment, and what it selects."""
        if isinstance(node, FragmentSpreadNode):
            definition = self.definition_of(node.name.value)
            return definition.type_condition.name.value, definition.selection_set.selections
        assert isinstance(node, InlineFragmentNode)
        condition = None if node.type_condition is None else node.type_condition.name.value
        return condition, node.selection_set.selections

    def add(
        self, selected: dict[str, _Selected], parent: Composite, node: FieldNode, *, always: bool
    ) -> None:
        name = (node.alias or node.name).value
        definition = self.schema.get_field(parent, node.name.value)
        if definition is None:
            self.fail(name, f"is not a field of {parent.name}")
            return
        found = selected.setdefault(name, _Selected(definition.type, always))
        found.always = found.always or always
        if node.selection_set is not None:
            found.below.extend(node.selection_set.selections)

    def is_a(self, parent: Composite, other: GraphQLNamedType | None) -> bool:
        if parent is other:
            return True
        if not isinstance(other, (GraphQLInterfaceType, GraphQLUnionType)):
            return False
        return not isinstance(parent, GraphQLUnionType) and self.schema.is_sub_type(other, parent)

    def may_be(self, parent: Composite, other: GraphQLNamedType | None) -> bool:
        if is_object(parent):
            return self.is_a(parent, other)
        return other is not None

    def field(self, field: inspect.Field, found: _Selected, path: str) -> None:
        if field.required and not found.always:
            self.fail(path, "may be left out of the answer, so its field needs a default")
        if not found.always:
            self.left_out(field, path)
        self.value(field.type, found.type, found.below, path)

    def left_out(self, field: inspect.Field, path: str) -> None:
        """A value that was not fetched must not look like one that is null or empty."""
        if field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT:
            self.fail(path, "may be left out of the answer, so its default must be NOT_FETCHED")

    def value(
        self, kind: inspect.Type, type_: GraphQLOutputType, below: list[SelectionNode], path: str
    ) -> None:
        options = list(_options(kind))
        if any(isinstance(option, _ANYTHING) for option in options):
            return
        may_be_none = any(isinstance(option, inspect.NoneType) for option in options)
        options = [option for option in options if not isinstance(option, inspect.NoneType)]
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        elif not may_be_none:
            self.fail(path, "may be null, so its type must allow None", certain=False)
        if isinstance(type_, GraphQLList):
            for option in options:
                item = getattr(option, "item_type", None)
                if item is None:
                    self.fail(path, f"is a list, not {_show(option)}")
                    continue
                self.value(item, type_.of_type, below, f"{path}[]")
        elif is_composite_type(type_):
            self.composite(options, as_composite(type_), below, path)
        else:
            for option in options:
                self.leaf(option, type_, path)

    def composite(
        self, options: list[inspect.Type], type_: Composite, below: list[SelectionNode], path: str
    ) -> None:
        for option in options:
            if isinstance(option, inspect.DictType):
                continue
            if not isinstance(option, inspect.StructType):
                self.fail(path, f"is an object of type {type_.name}, not {_show(option)}")
                continue
            narrowed: Composite = type_
            if option.tag_field == "__typename":
                tagged = self.schema.get_type(str(option.tag))
                if not isinstance(tagged, GraphQLObjectType) or not self.is_a(tagged, type_):
                    self.fail(path, f"cannot be a {option.tag!r}")
                    continue
                narrowed = tagged
            self.struct(option, narrowed, below, path)

    def leaf(self, option: inspect.Type, type_: GraphQLOutputType, path: str) -> None:
        if isinstance(type_, GraphQLEnumType):
            values = _literals(option)
            if values is None and not isinstance(option, inspect.StrType):
                self.fail(path, f"is the enum {type_.name}, not {_show(option)}")
            if missing := sorted(set(type_.values) - set(values or type_.values)):
                reason = f"may also be {missing[0]!r} of {type_.name}, which its type refuses"
                self.fail(path, reason, certain=False)
            return
        name = str(type_)
        if name in _SCALARS and not isinstance(option, _SCALARS[name]):
            may_fit = name in _TEXTS and isinstance(option, _FROM_TEXT)
            self.fail(path, f"is a {name}, not {_show(option)}", certain=not may_fit)

    def fail(self, path: str, reason: str, *, certain: bool = True) -> None:
        self.found.append(Misfit(path, reason, certain))


def is_object(type_: object) -> bool:
    """Whether a type has no narrower ones."""
    return isinstance(type_, GraphQLObjectType)


def as_composite(type_: object) -> Composite:
    """A type that selections can stand on; documents were validated, so others do not come."""
    assert isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType))
    return type_


def _options(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The members of a union, or the one type; metadata wrappers taken off."""
    if isinstance(kind, inspect.Metadata):
        yield from _options(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for option in kind.types:
            yield from _options(option)
    else:
        yield kind


def _literals(option: inspect.Type) -> set[Any] | None:
    if isinstance(option, inspect.LiteralType):
        return set(option.values)
    if isinstance(option, inspect.EnumType):
        return {member.value for member in option.cls}
    return None


def _show(option: inspect.Type) -> str:
    if isinstance(option, (inspect.StructType, inspect.EnumType)):
        return option.cls.__name__
    return type(option).__name__.removesuffix("Type").lower()


__all__ = ["Misfit", "check_result_types", "find_misfits"]
