"""Derives which operations each command can send, from the types that mypy finds in the source.

`python -m tests.command_operations` writes them to `wbgql/cli/shared/command_operations.py`. A command can send what
its function leads to: each name and attribute stands for a function, a class, a constant, or the methods that
it can be for a value of its type.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from mypy import build, nodes, types
from mypy.config_parser import parse_config_file
from mypy.find_sources import create_source_list
from mypy.options import Options
from mypy.traverser import NameAndMemberCollector

from wbgql.cli.main import cli
from wbgql.client import OPERATIONS
from wbgql.erasure.operations import OPERATIONS as ERASURE_OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "wbgql" / "cli" / "shared" / "command_operations.py"
Place = tuple[int, int, int | None, int | None]
_HEAD = '''"""Which operations each command can send. Made by `python -m tests.command_operations`; do not edit.

Commands that never open a client are left out; `query` sends what its file holds.
"""

COMMAND_OPERATIONS: dict[str, tuple[str, ...]] = {'''
_OPENS_A_CLIENT = "wbgql.cli.shared.app.App.client"


class Graph:
    """Who refers to what in the package, by full names."""

    def __init__(self, result: build.BuildResult) -> None:
        self._bodies: dict[str, list[tuple[str, ast.AST]]] = defaultdict(list)
        self._known: dict[tuple[str, Place], nodes.Expression] = {}
        self._types = result.types
        self._below: dict[str, list[nodes.TypeInfo]] = defaultdict(list)
        for module, state in result.graph.items():
            if module.split(".")[0] == "wbgql" and state.tree is not None:
                found = NameAndMemberCollector()
                state.tree.accept(found)
                for expression in (*found.name_exprs, *found.member_exprs):
                    self._known[module, _place_of(expression)] = expression
                self._define(module, module, ast.parse(Path(state.tree.path).read_text()).body)
                for symbol in state.tree.names.values():
                    if isinstance(symbol.node, nodes.TypeInfo) and symbol.node.module_name == module:
                        for base in symbol.node.mro[1:]:
                            self._below[base.fullname].append(symbol.node)

    def _define(self, module: str, inside: str, statements: Iterable[ast.stmt]) -> None:
        for one in statements:
            if isinstance(one, ast.FunctionDef):
                self._bodies[f"{inside}.{one.name}"] += [(module, each) for each in one.body]
            elif isinstance(one, ast.ClassDef):
                self._define(module, f"{inside}.{one.name}", one.body)
            elif isinstance(one, (ast.Assign, ast.AnnAssign)):
                for target in one.targets if isinstance(one, ast.Assign) else [one.target]:
                    if isinstance(target, ast.Name) and one.value is not None:
                        self._bodies[f"{inside}.{target.id}"].append((module, one.value))
            elif isinstance(one, ast.If):
                self._define(module, inside, (*one.body, *one.orelse))

    def _names_at(self, module: str, node: ast.expr) -> list[str]:
        """The names in this package that an expression can stand for."""
        found = self._known.get((module, _place_of(node)))
        if not isinstance(found, nodes.RefExpr):
            return []
        names = list(self._names_of(found.node))
        if not names and isinstance(found, nodes.MemberExpr):
            names = list(dict.fromkeys(self._members(self._types.get(found.expr), found.name)))
        return names

    def _names_of(self, node: Any) -> Iterator[str]:
        if isinstance(node, nodes.TypeInfo):
            # Who makes an object lets it be entered, iterated, counted: Python calls these by itself.
            for each in node.mro:
                for name in each.names:
                    if name.startswith("__") and f"{each.fullname}.{name}" in self._bodies:
                        yield f"{each.fullname}.{name}"
        elif isinstance(node, nodes.Decorator):
            yield node.func.fullname
        # `OPERATIONS` lists what is there, to check or to find it, and sends none of it.
        elif (
            isinstance(node, nodes.SymbolNode) and node.fullname in self._bodies and node.name != "OPERATIONS"
        ):
            yield node.fullname

    def _members(self, type_: types.Type | None, name: str) -> Iterator[str]:
        """The methods and constants that `name` can be for a value of a type, those of subclasses too."""
        for info in _infos(type_):
            found = info.get(name)
            if found is not None:
                yield from self._names_of(found.node)
            for below in self._below[info.fullname]:
                if name in below.names:
                    yield from self._names_of(below.names[name].node)

    def reach(self, start: str) -> set[str]:
        """All names that a definition leads to."""
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                for module, body in self._bodies[name]:
                    for node in ast.walk(body):
                        if isinstance(node, (ast.Name, ast.Attribute)):
                            waiting += self._names_at(module, node)
        return seen


def _place_of(node: nodes.Expression | ast.expr) -> Place:
    if isinstance(node, nodes.Expression):
        return node.line, node.column, node.end_line, node.end_column
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _infos(type_: types.Type | None) -> Iterator[nodes.TypeInfo]:
    found = types.get_proper_type(type_)
    if isinstance(found, types.Instance):
        yield found.type
    elif isinstance(found, types.UnionType):
        for item in found.items:
            yield from _infos(item)
    elif isinstance(found, types.TypeVarType):
        yield from _infos(found.upper_bound)
    elif isinstance(found, types.TypeType):
        yield from _infos(found.item)
    elif isinstance(found, types.TupleType):
        yield from _infos(found.partial_fallback)
    elif isinstance(found, types.CallableType) and found.is_type_obj():
        yield from _infos(found.ret_type)


def leaves(group: click.Group = cli, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that is no group, with its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def derive() -> dict[str, frozenset[str]]:
    """Return what each command that opens a client can send. Takes about 15 s."""
    options = Options()
    parse_config_file(options, lambda: None, str(ROOT / "pyproject.toml"), sys.stdout, sys.stderr)
    options.export_types = options.preserve_asts = True
    options.incremental = False
    options.follow_imports = "skip"  # what other packages do sends no operation of ours
    options.ignore_errors = True
    sources = [
        each
        for each in create_source_list([str(ROOT / "wbgql")], options)
        if not each.module.startswith(("wbgql.server", "wbgql.demo"))
    ]
    graph = Graph(build.build(sources, options))
    constants = _constants()
    table = {}
    for words, command in leaves():
        reached = graph.reach(_name_of(command.callback))
        if _OPENS_A_CLIENT in reached:
            table[words] = frozenset(constants[name] for name in reached & constants.keys())
    return table


def _constants() -> dict[str, str]:
    """The constants that hold operations, and the operations' names."""
    known = {id(each): each.name for each in (*OPERATIONS, *ERASURE_OPERATIONS)}
    return {
        f"{module}.{name}": known[id(value)]
        for module, loaded in list(sys.modules.items())
        if module.split(".")[0] == "wbgql"
        for name, value in vars(loaded).items()
        if id(value) in known
    }


def _name_of(callback: Callable[..., Any] | None) -> str:
    assert callback is not None
    while hasattr(callback, "__wrapped__"):
        callback = callback.__wrapped__
    return f"{callback.__module__}.{callback.__qualname__}"


def write(table: Mapping[str, frozenset[str]]) -> str:
    """Return the text of the module that holds the table."""
    lines = [_HEAD]
    for words, names in sorted(table.items()):
        quoted = [f'"{name}",' for name in sorted(names)]
        if len(quoted) > 1:
            lines += [f'    "{words}": (', *(f"        {name}" for name in quoted), "    ),"]
        else:
            lines.append(f'    "{words}": ({"".join(quoted)}),')
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    TABLE.write_text(write(derive()), encoding="utf-8")
