"""Keys that a question names: which of them no run has, and which hold values of another kind. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from difflib import get_close_matches

from wbgql.errors import FilterWarning, UnknownKeyWarning
from wbgql.expressions import RUN_KEYS, Expr, FieldPath
from wbgql.filters import column_of, split_key

# What fields of a project are called there, by what they are compared with here.
_KINDS = {bool: "boolean", int: "number", float: "number", str: "string"}
# What `define_metric(..., summary=...)` keeps in place of a metric's last value, as an object.
# Source: wandb SDK 0.31.0 `core/internal/runsummary/metricsummary.go` (2026-11).
_AGGREGATES = ("max", "min", "mean", "last", "first")
_NAMED_AT_MOST = 3

_ATTRIBUTES = {key: name for name, key in RUN_KEYS.items()}

Write = Callable[[FieldPath], str]
"""How a key is written in the language of the question."""


@dataclass(slots=True)
class KnownKeys:
    """The typed keys of projects, as far as they were looked up. `types`: by the server's path.

    A list that was cut proves nothing of what it does not name: only a key in `surely_absent` is in no
    run, or any other where the list is `complete`.
    """

    types: dict[str, set[str]] = field(default_factory=dict)
    complete: bool = True
    surely_absent: set[FieldPath] = field(default_factory=set)

    def has(self, path: FieldPath) -> bool:
        """Whether a run has the key, or something below it. What the SDK keeps for itself is not listed."""
        return path.section == "run" or path.parts[0] == "_wandb" or _is_known(path, self.types)

    def is_unsure(self, path: FieldPath) -> bool:
        """Whether the key may be there although it is not listed."""
        return not self.complete and path not in self.surely_absent and not self.has(path)

    def lacks(self, path: FieldPath) -> bool:
        """Whether no run has the key, for sure."""
        return not self.has(path) and not self.is_unsure(path)

    def below(self, path: FieldPath) -> list[str]:
        """Where runs hold objects at the key and nothing else: the names of what is inside them."""
        bases = server_keys(path)
        if any(self.types.get(base, set()) - {"map", "nil"} for base in bases):
            return []
        names = {
            name.removeprefix(f"{base}.").split(".")[0]
            for base in bases
            for name in self.types
            if name.startswith(f"{base}.")
        }
        return [name for name in _AGGREGATES if name in names] + sorted(names.difference(_AGGREGATES))


def key_warnings(
    paths: Iterable[FieldPath],
    known: KnownKeys,
    *,
    whose: str | None = None,
    objects: AbstractSet[FieldPath] = frozenset(),
    writer_of: Callable[[FieldPath], Write] = lambda _path: str,
) -> Iterator[FilterWarning]:
    """Yield a warning for each key that no run has, that holds only objects, or that nobody can tell of.

    `objects`: keys of which presence alone is asked, so that an object will do. `whose` names the runs.
    What `writer_of` gives for a key writes it, and those near to it, in the language of the question.
    """
    of = "" if whose is None else f" of {whose}"
    for path in paths:
        write = writer_of(path)
        if known.lacks(path):
            near = nearest(path, known.types, write)
            yield UnknownKeyWarning(f"no run{of} has {write(path)}{_hint(near)}", near)
        elif known.is_unsure(path):
            yield FilterWarning(
                f"whether a run{of} has {write(path)} is not known: there are more keys than were looked"
                " through; see `client.fields(path, pattern=...)`"
            )
        elif path not in objects and (inside := known.below(path)):
            near = [write(FieldPath(path.section, (*path.parts, name))) for name in inside[:_NAMED_AT_MOST]]
            yield UnknownKeyWarning(f"{write(path)}: the runs{of} hold an object there{_hint(near)}", near)


def nearest(path: FieldPath, listed: Iterable[str], write: Write = str) -> list[str]:
    """Return the listed keys that look most like `path`, at most three, as the question writes them.

    A key that is like the name of an object stands for what the object holds.
    """
    found: dict[str, FieldPath] = {}
    for name in sorted(listed):
        one = FieldPath.of_key(name)
        if one is not None:
            found[".".join(one.parts)] = one
            found.setdefault(".".join(one.parts[:-1]), one)
    found.pop("", None)
    names = get_close_matches(".".join(path.parts), found, n=_NAMED_AT_MOST, cutoff=0.6)
    return list(dict.fromkeys(write(found[name]) for name in names))


def types_of(path: FieldPath, types: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the types that runs hold at `path`, sorted; none where no run has it."""
    return tuple(sorted({kind for key in server_keys(path) for kind in types.get(key, ())}))


def mismatches(where: Expr | None, types: Mapping[str, Iterable[str]]) -> list[str]:
    """Say which comparisons cannot hold, or hold on some servers only, by what the runs keep there.

    Source: wandb/wandb#10900: a value that is a list is found by no filter (2025-11).
    """
    found = []
    for condition in where.conditions() if where is not None else ():
        held = set(types_of(condition.path, types)) - {"nil"}
        operands = condition.operand if isinstance(condition.operand, tuple) else (condition.operand,)
        wanted = {_KINDS[type(operand)] for operand in operands if type(operand) in _KINDS}
        if wanted and "list" in held and condition.refusal is None:
            found.append(
                f"{condition}: some runs hold a list there; whether one of its members counts depends on the"
                " server (wandb/wandb#10900); a field with client_side=True is decided by the client"
            )
        # A number may be NaN, which is kept as text.
        elif (
            held
            and wanted
            and not wanted & held
            and not held & {"list", "map"}
            and condition.operand != "NaN"
        ):
            ours, theirs = " or ".join(sorted(wanted)), " or ".join(sorted(held))
            found.append(f"{condition}: compares with {ours}, the runs hold {theirs} there")
    return found


def server_keys(path: FieldPath) -> tuple[str, str]:
    """The two ways in which a project lists a key of config; the same twice for summary.

    Source: paths look like `summary_metrics.val/loss` and `config.lr.value` (W&B's MCP server, 2026).
    """
    section = "summary_metrics" if path.section == "summary" else "config"
    flat = ".".join((section, *path.parts))
    return flat, flat if section != "config" else ".".join((section, path.parts[0], "value", *path.parts[1:]))


def path_of_raw(key: str) -> FieldPath | None:
    """Return the field that a filter dict names by `key`, or None."""
    section, parts = split_key(key)
    if section in ("config", "summary_metrics"):
        return FieldPath("config" if section == "config" else "summary", parts) if parts else None
    name = _ATTRIBUTES.get(column_of(key) or "")
    return FieldPath("run", (name,)) if name else None


def write_raw(path: FieldPath) -> str:
    """Write a key as a filter dict has it: `config.lr`, `summary_metrics.val/acc`."""
    return ".".join(("config" if path.section == "config" else "summary_metrics", *path.parts))


def _is_known(wanted: FieldPath, paths: Iterable[str]) -> bool:
    """Is the field, or something below it, among the project's paths?"""
    bases = server_keys(wanted)
    return any(base in paths for base in bases) or any(
        path.startswith(f"{base}.") for path in paths for base in bases
    )


def _hint(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""
