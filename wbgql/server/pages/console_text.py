"""Console lines with their terminal colours, as pieces that a template may write. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Other sequences move the cursor or set a title: nothing to show on a page.
_ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BOLD, _PLAIN_WEIGHT, _PLAIN_COLOR = 1, 22, 39


@dataclass(frozen=True)
class Piece:
    """Text in one style. `style` is names of the style sheet: "bold", "color-1" to "color-15"."""

    text: str
    style: str = ""


def to_pieces(line: str) -> list[Piece]:
    """Take a line apart at its colour codes; other control characters are dropped."""
    pieces: list[Piece] = []
    bold, color, position = False, "", 0
    for match in _ESCAPE.finditer(line):
        _add(pieces, line[position : match.start()], bold, color)
        position = match.end()
        if match["codes"] is not None:
            bold, color = _apply(match["codes"], bold, color)
    _add(pieces, line[position:], bold, color)
    return pieces


def _add(pieces: list[Piece], text: str, bold: bool, color: str) -> None:
    text = _CONTROL.sub("", text)
    if text:
        pieces.append(Piece(text, " ".join(name for name in ("bold" if bold else "", color) if name)))


def _apply(codes: str, bold: bool, color: str) -> tuple[bool, str]:
    numbers = [int(code or 0) for code in codes.split(";") if len(code) < 4]
    if numbers[:1] in ([38], [48]):
        # 256 and 24-bit colours: their numbers are not codes of their own.
        return bold, color
    for code in numbers:
        if code == 0:
            bold, color = False, ""
        elif code == _BOLD:
            bold = True
        elif code == _PLAIN_WEIGHT:
            bold = False
        elif code == _PLAIN_COLOR:
            color = ""
        elif 31 <= code <= 37:
            color = f"color-{code - 30}"
        elif 91 <= code <= 97:
            color = f"color-{code - 82}"
    return bold, color
