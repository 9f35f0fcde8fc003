"""Retention policies: rules that mark runs with a date, and sweep what is still marked when it has passed.

Pure but for `read_policies`. Nothing here deletes: a sweep makes plans, and each needs its own approval.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from wbgql.erasure.reading.clocks import parse_span
from wbgql.erasure.records.plan import Caps, Request
from wbgql.erasure.records.small_files import read_small
from wbgql.errors import FilterError, UsageError
from wbgql.expressions import Expr, ago, parse_expression, run

T = TypeVar("T")

TAG_PREFIX = "erase-after:"
MAX_FILE_BYTES = 1024 * 1024
_DAY_S = 86_400
_MAX_DEPTH = 20


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of a policy file.

    `projects` as `plan` takes them; `where` an expression; `age`, how long ago a run must have been created;
    `grace`, how long it stays marked before it may be swept, whole days; `owner`, the role that answers for
    the rule; `request` and `basis` stand in the plans.
    """

    name: str
    projects: list[str]
    where: str
    grace: str
    owner: str
    request: str
    basis: str
    age: str | None = None
    max_runs: int = 100
    max_percent: int = 10

    @property
    def expr(self) -> Expr:
        """Which runs the rule is about: `where`, and old enough."""
        expr = parse_expression(self.where)
        return expr if self.age is None else expr & (run.created_at < ago(self.age))

    @property
    def caps(self) -> Caps:
        """How many runs it may mark, and sweep, at once."""
        return Caps(max_runs=self.max_runs, max_percent=self.max_percent)

    @property
    def asked_by(self) -> Request:
        """What its plans say of why."""
        return Request(reference=self.request, basis=self.basis)

    def tag(self, now: datetime) -> str:
        """The mark of a run that is found now: the last day on which it surely stays, in UTC."""
        return f"{TAG_PREFIX}{(now + timedelta(seconds=parse_span(self.grace))).date().isoformat()}"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one run, or of many. `due`: the day has passed. `bad`: no date, so never acted on."""

    due: frozenset[str]
    waiting: frozenset[str]
    bad: frozenset[str]

    @property
    def is_due(self) -> bool:
        """Whether the run may be swept: every mark it has is due."""
        return bool(self.due) and not self.waiting and not self.bad

    @property
    def any(self) -> bool:
        """Whether there is a mark at all."""
        return bool(self.due or self.waiting or self.bad)


def read_marks(tags: Iterable[str], now: datetime) -> Marks:
    """Part the marks among tags by whether their day has passed, in UTC. Other tags are passed over."""
    parts: dict[str, set[str]] = {"due": set(), "waiting": set(), "bad": set()}
    for tag in tags:
        if tag.startswith(TAG_PREFIX):
            parts[_state(tag, now)].add(tag)
    return Marks(**{name: frozenset(found) for name, found in parts.items()})


def sweep_expr(rule: Rule, marks: Marks) -> Expr:
    """The rule, narrowed to runs whose marks are all due: what a plan of a sweep is made from.

    `marks` are all those that occur among the rule's runs; at least one is due.
    """
    expr = rule.expr & run.tags.has_any(sorted(marks.due))
    others = sorted(marks.waiting | marks.bad)
    return expr & run.tags.has_none(others) if others else expr


def parse_policies(content: str, where: str = "the policy file") -> list[Rule]:
    """Read a policy file: YAML, `rules:` and under it one mapping for each.

    Raises:
        UsageError: not such a file; the message names the rule and the field.
        ConfigError: PyYAML is not installed.
    """
    found = _convert(_load(content, where), _File, where).rules
    if not found:
        raise UsageError(f"{where} has no rules")
    rules = [_parse_rule(given, f"{where}, rule {number}") for number, given in enumerate(found, 1)]
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{where} has two rules of the name {twice[0]!r}: each plan is named after its rule")
    return rules


def read_policies(path: Path) -> list[Rule]:
    """Read a policy file from disk.

    Raises:
        UsageError, ConfigError: as `parse_policies`.
        StoreError: it cannot be read.
    """
    raw = read_small(path, MAX_FILE_BYTES, "a policy file")
    try:
        content = raw.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} is not UTF-8 text") from error
    return parse_policies(content, repr(str(path)))


def _state(tag: str, now: datetime) -> str:
    text = tag.removeprefix(TAG_PREFIX)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return "bad"
    try:
        return "due" if date.fromisoformat(text) < now.date() else "waiting"
    except ValueError:
        return "bad"


def _parse_rule(given: dict[str, Any], where: str) -> Rule:
    name = given.get("name")
    where = f"{where} ({name!r})" if isinstance(name, str) else where
    rule = _convert(given, Rule, where)
    for field, problem in _problems(rule):
        raise UsageError(f"{where}: {field}: {problem}")
    return rule


def _problems(rule: Rule) -> Iterable[tuple[str, str]]:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name):
        yield "name", "small letters, digits and hyphens: plans are named after it"
    if not rule.projects or not all("/" in project for project in rule.projects):
        yield "projects", "a list of entity/project or entity/*"
    if rule.max_runs < 1 or not 0 <= rule.max_percent <= 100:
        yield "max_runs, max_percent", "a run at least, and 0 to 100 percent"
    for field in ("owner", "request", "basis"):
        text = getattr(rule, field)
        if not text.strip() or "@" in text:
            yield field, "a role, a reference or a basis, and never a person's address"
    yield from _time_problems(rule)
    try:
        parse_expression(rule.where)
    except FilterError as error:
        yield "where", str(error)


def _time_problems(rule: Rule) -> Iterable[tuple[str, str]]:
    for field, span in (("grace", rule.grace), ("age", rule.age)):
        try:
            seconds = parse_span(span) if span is not None else _DAY_S
        except UsageError as error:
            yield field, str(error)
            continue
        if seconds < _DAY_S or (field == "grace" and seconds % _DAY_S):
            yield field, f"{span!r}: at least a day, and grace in whole days"


def _convert(value: Any, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {str(error)[:1].lower()}{str(error)[1:]}") from error


def _load(content: str, where: str) -> Any:
    import yaml  # noqa: PLC0415  # of an extra

    try:
        _refuse_unfolding(yaml.parse(content, Loader=yaml.SafeLoader), where)
        tree = yaml.compose(content, Loader=yaml.SafeLoader)
        _refuse_twice(tree, where)
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise UsageError(f"{where}{place}: {getattr(error, 'problem', None) or 'not YAML'}") from error
    except UsageError:
        raise
    except ValueError as error:  # a date that is none, a number with thousands of digits
        raise UsageError(f"{where}: a value cannot be read: {error}") from error


def _refuse_unfolding(events: Iterable[Any], where: str) -> None:
    """Refuse what grows when it is read: aliases, of which a few lines make gigabytes, and deep nesting."""
    import yaml  # noqa: PLC0415  # of an extra

    depth = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise UsageError(
                f"{where}, line {line}: write the value out: a policy file has no aliases (*name)"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UsageError(f"{where}, line {line}: nested more than {_MAX_DEPTH} deep")


def _refuse_twice(node: Any, where: str) -> None:
    """Refuse a key that is given twice: PyYAML takes the last and says nothing."""
    if node is None or not isinstance(node.value, list):
        return
    seen: set[str] = set()
    for item in node.value:
        key, value = item if isinstance(item, tuple) else (None, item)
        if key is not None and str(key.value) in seen:
            raise UsageError(f"{where}, line {key.start_mark.line + 1}: {key.value!r} is given twice")
        if key is not None:
            seen.add(str(key.value))
        _refuse_twice(value, where)
