"""Keys that a question names: which of them no run has, and which hold values of another kind. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from wbgql.expressions import Expr, FieldPath
from wbgql.scalars import dump_json

# What fields of a project are called there, by what they are compared with here.
_KINDS = {bool: "boolean", int: "number", float: "number", str: "string"}


def unknown_keys(paths: Sequence[FieldPath], known: Iterable[str]) -> dict[str, list[str]]:
    """Return the paths that are not among `known`, each with the known names nearest to it."""
    listed = set(known)
    labels = dict(map(_name_and_label, sorted(listed)))
    missing = [path for path in paths if path.section != "run" and not _is_known(path, listed)]
    return {
        str(path): [labels[name] for name in get_close_matches(".".join(path.parts), labels, cutoff=0.6)]
        for path in missing
    }


def types_of(path: FieldPath, types: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the types that runs hold at `path`, sorted; none where no run has it."""
    return tuple(sorted({kind for key in server_keys(path) for kind in types.get(key, ())}))


def mismatches(where: Expr | None, types: Mapping[str, Iterable[str]]) -> list[str]:
    """Say which comparisons cannot hold, since the runs keep values of another type there."""
    found = []
    for condition in where.conditions() if where is not None else ():
        held = set(types_of(condition.path, types)) - {"nil"}
        operands = condition.operand if isinstance(condition.operand, tuple) else (condition.operand,)
        wanted = {_KINDS[type(operand)] for operand in operands if type(operand) in _KINDS}
        # A number may be NaN, which is kept as text.
        if (
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


def _is_known(wanted: FieldPath, paths: set[str]) -> bool:
    """Is the field, or something below it, among the project's paths?"""
    return any(path == base or path.startswith(f"{base}.") for path in paths for base in server_keys(wanted))


def _name_and_label(path: str) -> tuple[str, str]:
    """Split a server path into the bare key and the way an expression writes it.

    The path does not tell a dot in a key from nesting, which is by far the more frequent.
    """
    section, *parts = path.split(".")
    if section not in ("summary_metrics", "config") or not parts:
        return path, path
    if section == "config" and parts[1:2] == ["value"]:
        del parts[1]
    name = "summary" if section == "summary_metrics" else section
    return ".".join(parts), name + "".join(f"[{dump_json(part)}]" for part in parts)
