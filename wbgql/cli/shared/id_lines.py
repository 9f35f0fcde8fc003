"""Names in a list, one a line: what `--format ids` writes and `--ids-from` reads. No I/O."""

from __future__ import annotations

import json


def to_line(name: str, *, ascii_only: bool = False) -> str:
    """Return the line that names a thing, without its end.

    A name stands as it is, unless a line would lose it: one with a line end or another character that
    cannot be seen, a blank at its start or end, or a quote at its start is written as a JSON string. So
    is, with `ascii_only`, one with a character outside ASCII.
    """
    plain = name.isprintable() and name == name.strip() and name != "" and not name.startswith('"')
    return name if plain and (name.isascii() or not ascii_only) else json.dumps(name)


def from_line(line: str) -> str:
    """Return the name that a line holds; the reverse of `to_line` for every path.

    Blanks around it are dropped. A quoted text that is no path stands for itself: lists of bare ids, as
    earlier versions wrote them, quote nothing.
    """
    text = line.strip()
    if text.startswith('"'):
        try:
            name = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(name, str) and "/" in name:
            return name
    return text
