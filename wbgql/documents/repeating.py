"""`@repeat`: one selection of a document, asked for many times in one request. Imports graphql-core at once.

`r: run(name: $r) @repeat(times: 25)` becomes `r0: run(name: $r0)` to `r24: run(name: $r24)`, and the variable
`$r` becomes `$r0` to `$r24`, each of its type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)

_REPEAT = "repeat"


def repeat_fields(operation: OperationDefinitionNode) -> OperationDefinitionNode:
    """Return the operation with each field that is marked with `@repeat` written as often as it says.

    Raises:
        ValueError: a mark is not on a field whose alias is the name of a variable.
    """
    declared = {each.variable.name.value for each in operation.variable_definitions or ()}
    times: dict[str, int] = {}

    class Expand(Visitor):
        def leave_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode:
            selections = [each for one in node.selections for each in _copies(one, declared, times)]
            return SelectionSetNode(selections=tuple(selections), loc=node.loc)

    made = visit(operation, Expand())
    definitions = []
    for each in made.variable_definitions or ():
        name = each.variable.name.value
        numbers = range(times[name]) if name in times else ()
        definitions += [_numbered(each, name, number) for number in numbers] or [each]
    repeated: OperationDefinitionNode = _with(made, variable_definitions=tuple(definitions))
    return repeated


def _copies(node: Any, declared: set[str], times: dict[str, int]) -> Iterator[Any]:
    marks = [each for each in node.directives or () if each.name.value == _REPEAT]
    if not marks:
        yield node
        return
    count = next((each.value for each in marks[0].arguments or () if each.name.value == "times"), None)
    name = node.alias.value if isinstance(node, FieldNode) and node.alias else None
    if name not in declared or not isinstance(count, IntValueNode):
        raise ValueError("@repeat(times: N) belongs on a field whose alias is the name of a variable")
    times[name] = int(count.value)
    plain = _with(node, directives=tuple(each for each in node.directives or () if each not in marks))
    for number in range(times[name]):
        yield _with(_numbered(plain, name, number), alias=NameNode(value=f"{name}{number}"))


def _numbered(node: Any, name: str, number: int) -> Any:
    """A copy of a node in which the variable `name` has a number behind it."""

    class Rename(Visitor):
        def enter_variable(self, found: VariableNode, *_: Any) -> VariableNode | None:
            return VariableNode(name=NameNode(value=f"{name}{number}")) if found.name.value == name else None

    return visit(node, Rename())


def _with(node: Any, **changes: Any) -> Any:
    return type(node)(**{key: getattr(node, key) for key in node.keys} | {"loc": node.loc} | changes)
