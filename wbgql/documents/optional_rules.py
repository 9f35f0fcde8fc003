"""The rules of `@optional` that a schema cannot say. No I/O. Imports graphql-core at once."""

from __future__ import annotations

from typing import Any

from graphql import DirectiveNode, FieldNode, Node, Visitor, visit

from wbgql.documents.tailoring import OPTIONAL, arguments_of

# Arguments that say which objects an answer is about, or how many: without one the answer is another.
NARROWING = frozenset(
    {
        *(
            "filter",
            "filters",
            "pattern",
            "names",
            "name",
            "id",
            "entityName",
            "collectionTypes",
            "adminType",
        ),
        *("first", "last", "after", "before", "order", "samples", "specs", "minStep", "maxStep", "metric"),
    }
)


def check_optional(definition: Node, *, query: bool) -> tuple[Node, str] | None:
    """Return the first node of an operation or fragment that breaks the rules, and how; None if none does."""
    found: list[tuple[Node, str]] = []

    class Check(Visitor):
        def enter(self, node: Any, *_args: Any) -> None:
            for directive in getattr(node, "directives", None) or ():
                if directive.name.value == OPTIONAL and (reason := _mistake(node, directive, query=query)):
                    found.append((node, reason))

    visit(definition, Check())
    return found[0] if found else None


def _mistake(node: Any, directive: DirectiveNode, *, query: bool) -> str | None:
    if not query:
        return "a mutation cannot have @optional parts: what is sent must be what was asked for"
    arguments = arguments_of(directive)
    if arguments is None:
        return "@optional(args:) wants the names themselves" if directive.arguments else None
    if not isinstance(node, FieldNode):
        return "@optional(args:) belongs to a field"
    if not arguments:
        return "@optional(args: []) names no argument"
    given = {argument.name.value for argument in node.arguments or ()}
    for name in arguments:
        if name not in given:
            return f"@optional names the argument {name!r}, which {node.name.value!r} is not given"
        if name in NARROWING:
            return (
                f"the argument {name!r} narrows the result of {node.name.value!r}, so it cannot be @optional"
            )
    return None


__all__ = ["NARROWING", "check_optional"]
