"""Console text as the API shows it: level, time and label taken apart. No I/O but reading the store."""

from __future__ import annotations

import json
import re

from wbgql.server.runs import lines
from wbgql.server.store.database import Connection, Row

# Source: lines that wandb SDK 0.31.0 sends where STRUCTURED_CONSOLE_LOGS is off, seen 2026-11.
_LINE = re.compile(r"(?P<level>ERROR )?(?P<time>\d{4}-\d\d-\d\dT[\d:.]+) (?P<text>.*)", re.DOTALL)


def read(db: Connection, pk: int, skip: int, limit: int) -> list[Row]:
    """`LogLine` nodes behind the first `skip`. `timestamp` is UTC without a zone."""
    return [to_node(number, line) for number, line in lines.read(db, pk, lines.CONSOLE, skip, limit)]


def to_node(number: int, line: str) -> Row:
    """One line taken apart; a line of unknown form is kept whole.

    `level` is "error" for what went to standard error, else None.
    Source: `ConsoleLogLine` of wandb SDK 0.31.0, 2026-11.
    """
    node: Row = {
        "id": str(number),
        "number": number,
        "level": None,
        "timestamp": None,
        "label": None,
        "line": line,
    }
    if line.startswith("{"):
        return node | _structured(line)
    match = _LINE.fullmatch(line)
    if match is None:
        return node
    level = "error" if match["level"] else None
    return node | {"level": level, "timestamp": match["time"], "line": match["text"]}


def _structured(line: str) -> Row:
    try:
        parts = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parts, dict) or "content" not in parts:
        return {}
    found = {
        "line": parts["content"],
        "level": parts.get("level"),
        "timestamp": parts.get("ts"),
        "label": parts.get("label"),
    }
    return found if all(value is None or isinstance(value, str) for value in found.values()) else {}
