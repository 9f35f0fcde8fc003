"""Every GraphQL document the installed wandb SDK can send, read from its files without importing it.

The binary `wandb-core` holds its documents as plain text. The Python files hold theirs as constants, or put
them together from constants; each function that does so is followed along every outcome of its tests
(`_Path`), because a document that exists only as a template cannot be validated.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_DOCUMENT = re.compile(r"\s*(?:#graphql\s*)?(?:query|mutation)\s+\w+\s*[({]")
_IN_BINARY = re.compile(rb"(?:query|mutation) \w+ ?[({]")
_DEFINITION = re.compile(rb"\s*(?:query|mutation|fragment)\b[^{]*\{")
_BRACE = re.compile(rb"[{}]")

_Value = str | list[str]
_Names = dict[str, _Value]


class SdkDocument(NamedTuple):
    """One document as it goes over the wire. `source` is the file, relative to the package."""

    name: str
    text: str
    source: str


class Unrendered(NamedTuple):
    """Code that puts a document together in a way this module cannot follow."""

    code: str
    source: str


@cache
def package_dir() -> Path:
    """The folder of the installed package `wandb`."""
    spec = importlib.util.find_spec("wandb")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package 'wandb' is not installed")
    return Path(spec.origin).parent


@cache
def collect() -> tuple[tuple[SdkDocument, ...], tuple[Unrendered, ...]]:
    """Return the documents, each text once, and what could not be rendered. Reads some 40 MB, once."""
    binary = "bin/wandb-core"
    texts = dict.fromkeys(binary_documents((package_dir() / binary).read_bytes()), binary)
    unrendered = []
    for file in sorted(package_dir().rglob("*.py")):
        source = file.relative_to(package_dir()).as_posix()
        found, missed = python_documents(file.read_text(encoding="utf-8"))
        for text in found:
            texts.setdefault(text, source)
        unrendered += [Unrendered(code, source) for code in missed]
    documents = (SdkDocument(_name(text), text, source) for text, source in texts.items())
    return tuple(sorted(documents, key=lambda document: (document.name, document.source))), tuple(unrendered)


def binary_documents(data: bytes) -> list[str]:
    """Return the operations in `data`, each with the fragments that follow it directly."""
    return list(dict.fromkeys(_definitions(data, match.start()) for match in _IN_BINARY.finditer(data)))


def python_documents(code: str) -> tuple[list[str], list[str]]:
    """Return the documents a module can send, and the expressions that could not be rendered."""
    if not re.search(r"\b(query|mutation)\s+\w+\s*[({]", code):
        return [], []
    module = _Module(ast.parse(code))
    return module.documents(), list(dict.fromkeys(module.unrendered))


def _name(text: str) -> str:
    return re.sub(r"\s*(?:#graphql\s*)?(?:query|mutation)\s+(\w+).*", r"\1", text, flags=re.DOTALL)


def _definitions(data: bytes, start: int) -> str:
    end = start
    while definition := _DEFINITION.match(data, end):
        if end > start and b"fragment" not in definition[0]:
            break
        end = _closing_brace(data, definition.end()) + 1
    return data[start:end].decode()


def _closing_brace(data: bytes, start: int) -> int:
    depth = 1
    for brace in _BRACE.finditer(data, start):
        depth += 1 if brace[0] == b"{" else -1
        if depth == 0:
            return brace.start()
    raise ValueError("a document in the binary has no end")


class _UnknownValue(Exception):
    """The value of an expression is not to be known without running the program."""


class _Module:
    """One module: its constants, and the documents that its functions make of them."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.found: dict[str, None] = {}
        self.templates: set[str] = set()
        self.unrendered: list[str] = []
        self.constants: _Names = {}

    def documents(self) -> list[str]:
        self.constants = self.follow(self.tree.body, {})
        for function in ast.walk(self.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for arguments in self.calls_of(function):
                    self.follow(function.body, {**self.constants, **arguments})
        return [text for text in self.found if text not in self.templates]

    def follow(self, body: list[ast.stmt], names: _Names) -> _Names:
        """Run `body` once for each combination of its tests; return the names of the last run."""
        open_choices: list[dict[str, bool]] = [{}]
        while open_choices:
            path = _Path(self, dict(names), open_choices.pop(), open_choices)
            path.run(body)
        return path.names

    def calls_of(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[_Names]:
        """Return the constants the module itself passes to `function`, per call; at least one, empty."""
        parameters = [
            parameter.arg for parameter in function.args.args if parameter.arg not in ("self", "cls")
        ]
        path = _Path(self, dict(self.constants), {}, [])
        calls = []
        for call in ast.walk(self.tree):
            if isinstance(call, ast.Call) and _called_name(call) == function.name:
                pairs = [*zip(parameters, call.args, strict=False)]
                pairs += [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
                calls.append({name: path.value(node) for name, node in pairs if path.is_known(node)})
        return [arguments for arguments in calls if arguments] or [{}]


class _Path:
    """One way through a body of statements: the outcome of its tests, and what its names hold."""

    def __init__(
        self, module: _Module, names: _Names, choices: dict[str, bool], later: list[dict[str, bool]]
    ) -> None:
        self.module = module
        self.names = names
        self.choices = choices
        self.later = later

    def run(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.step(statement)

    def step(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return
            case ast.If(test=test, body=body, orelse=orelse) if self.matters(statement):
                self.run(body if self.choose(test) else orelse)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self.assign(name, value)
            case ast.AugAssign(target=ast.Name(id=name), value=value) if name in self.names and self.is_known(
                value
            ):
                self.add(name, self.value(value))
            case ast.Expr(
                ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[item])
            ) if name in self.names and self.is_known(item):
                self.add(name, [str(self.value(item))])
            case _:
                self.step_inside(statement)

    def step_inside(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.step(child)
            elif isinstance(child, ast.expr):
                self.harvest(child)
            else:
                self.step_inside(child)

    def assign(self, name: str, node: ast.expr) -> None:
        self.harvest(node)
        if self.is_known(node):
            self.names[name] = self.value(node)
        else:
            self.names.pop(name, None)

    def add(self, name: str, value: _Value) -> None:
        match self.names[name], value:
            case str() as held, str() as more:
                self.names[name] = held + more
            case list() as items, list() as more_items:
                self.names[name] = items + more_items

    def harvest(self, node: ast.expr) -> None:
        """Keep the documents in an expression: the whole of it if it is one, else those in its parts."""
        if self.is_known(node):
            value = self.value(node)
            if isinstance(value, str) and _DOCUMENT.match(value):
                self.module.found[value] = None
        elif isinstance(node, ast.JoinedStr) or _method(node) in ("format", "replace"):
            if any(
                isinstance(part, ast.Constant) and _DOCUMENT.match(str(part.value)) for part in ast.walk(node)
            ):
                self.module.unrendered.append(ast.unparse(node))
        else:
            self.step_inside(node)

    def matters(self, statement: ast.If) -> bool:
        """Whether a name that holds text changes inside, so that both outcomes have to be followed."""
        return any(_changed_name(node) in self.names for node in ast.walk(statement))

    def choose(self, test: ast.expr) -> bool:
        """Return the outcome of a test on this path; at the first meeting, leave the other for later."""
        key = ast.unparse(test)
        if key not in self.choices:
            self.later.append({**self.choices, key: False})
            self.choices[key] = True
        return self.choices[key]

    def is_known(self, node: ast.expr) -> bool:
        try:
            self.value(node)
        except _UnknownValue:
            return False
        return True

    def value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=str() as text):
                return text
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
            case ast.JoinedStr(values=parts):
                return "".join(self.text(part) for part in parts)
            case ast.FormattedValue(value=inner, format_spec=None):
                return self.text(inner)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.text(left) + self.text(right)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.choose(test) else orelse)
            case ast.List(elts=items):
                return [self.text(item) for item in items]
            case ast.Call(func=ast.Attribute(value=base, attr=method), args=arguments, keywords=[]):
                return self.called(base, method, [self.value(argument) for argument in arguments])
        raise _UnknownValue

    def text(self, node: ast.expr) -> str:
        value = self.value(node)
        if not isinstance(value, str):
            raise _UnknownValue
        return value

    def called(self, base: ast.expr, method: str, arguments: list[_Value]) -> str:
        text = self.text(base)
        match method, arguments:
            case "join", [list() as items]:
                return text.join(items)
            case "replace", [str() as old, str() as new]:
                self.mark_template(base, text)
                return text.replace(old, new)
            case "format", _:
                self.mark_template(base, text)
                return text.format(*arguments)
        raise _UnknownValue

    def mark_template(self, base: ast.expr, text: str) -> None:
        if isinstance(base, (ast.Name, ast.Constant)):
            self.module.templates.add(text)


def _called_name(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)


def _method(node: ast.AST) -> str | None:
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None


def _changed_name(node: ast.AST) -> str | None:
    match node:
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")):
            return name
    return None
