"""Regular expressions as W&B's servers read them (RE2). No I/O.

RE2 itself searches, so that no pattern takes time exponential in its length. Python's engine reads the
pattern first and refuses what it cannot read; it searches where RE2 cannot, such as with look-around.

Source: RE2 alone from 2026 on (wandb/wandb#12195); RE2's syntax: github.com/google/re2/wiki/Syntax (2026-11).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

# RE2's classes are ASCII, also in text that is not. Each ends with a range: a hyphen behind it is then one by
# itself, as in RE2, and does not make another range.
_CLASSES = {
    "d": "0-9",
    "w": "_0-9A-Za-z",
    "s": r" \t-\n\f-\r",
    "D": r"\x00-/:-\U0010ffff",
    "W": r"\x00-/:-@\[-\^`\{-\U0010ffff",
    "S": r"\x00-\x08\x0b\x0e-\x1f!-\U0010ffff",
}
_NAMED = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t-\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`\{-~",
    "space": r" \t-\r",
    "upper": "A-Z",
    "word": "_0-9A-Za-z",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?+\]?+(?:\\.|\[:\^?\w+:\]|[^\]\\])*\])|(?P<open>\[)|(?P<end>\$)"
    r"|(?P<literal>\{,\d*\})|.",
    re.DOTALL,
)
_IN_SET = re.compile(r"(?P<escape>\\.)|\[:(?P<named>\w+):\]|(?P<hyphen>-)(?=\[:)|.", re.DOTALL)
_MULTILINE = re.compile(r"\(\?[a-zA-Z]*m")
_NOT_RE2 = re.compile(r"\\[1-9Z]|\(\?(?:[=!>#(]|<[=!]|P=)|[*+?}]\+")
_ONLY_RE2 = re.compile(r"\\[pPQC]|\[:\^")


class Pattern(Protocol):
    """A compiled pattern of either engine."""

    def search(self, text: str, /) -> Any:
        """Return the first match in `text`, or None."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, flags: int = 0) -> Pattern:
    r"""Return a pattern that finds what RE2 finds: `\w` is ASCII, `$` the very end, `[[:alpha:]]` a class.

    What only Python knows (look-around) is let pass: see `not_in_re2`.

    Raises:
        re.error: broken, or of a kind that RE2 has and Python has not; the message says which.
    """
    if _ONLY_RE2.search(pattern.replace("\\\\", "")):
        raise re.error("RE2 knows it and this side does not, so what came back could not be checked")
    lines = bool(flags & re.MULTILINE) or _MULTILINE.search(pattern) is not None
    text = "".join(_translated(pattern, lines=lines))
    with warnings.catch_warnings():
        # Python warns where its own syntax may change; the server's is RE2's.
        warnings.simplefilter("ignore")
        compiled = re.compile(text, flags)
    return compiled if not_in_re2(pattern) else _by_re2(pattern, flags) or compiled


def _by_re2(pattern: str, flags: int) -> Pattern | None:
    """The pattern in RE2; None if RE2 refuses it, such as one that is too large."""
    import re2  # noqa: PLC0415  # only few questions have a pattern

    options = re2.Options()
    options.log_errors = False
    letters = "".join(letter for letter, flag in (("i", re.I), ("m", re.M), ("s", re.S)) if flags & flag)
    try:
        found: Pattern = re2.compile(f"(?{letters}){pattern}" if letters else pattern, options)
    except re2.error:
        return None
    return found


def not_in_re2(pattern: str) -> bool:
    """Whether a pattern has look-around, back references or the like, which RE2 refuses."""
    return _NOT_RE2.search(pattern.replace("\\\\", "")) is not None


def _translated(pattern: str, *, lines: bool) -> Iterator[str]:
    for found in _TOKEN.finditer(pattern):
        token = found[0]
        if found["escape"]:
            yield _escape(token)
        elif found["set"]:
            yield f"[{''.join(_members(token[1:-1]))}]"
        elif found["end"] and not lines:
            yield r"\Z"
        elif found["literal"]:
            yield re.escape(token)
        elif found["open"]:
            # What is put in for a class further on would close it.
            raise re.error("unterminated character set")
        else:
            yield token


def _escape(token: str) -> str:
    letter = token[1]
    if letter in _CLASSES:
        return f"[{_CLASSES[letter]}]"
    if letter in "bB":
        return f"(?a:{token})"
    return r"\Z" if letter == "z" else token


def _members(inside: str) -> Iterator[str]:
    for found in _IN_SET.finditer(inside):
        if found["hyphen"] and inside[: found.start()] not in ("", "^"):
            raise re.error("a hyphen before [: makes a range to [ in RE2, or none: write it first in the set")
        if found["escape"]:
            yield _CLASSES.get(found[0][1], found[0])
        elif found["named"]:
            if found["named"] not in _NAMED:
                raise re.error(f"no such class [:{found['named']}:]")
            yield _NAMED[found["named"]]
        else:
            yield r"\[" if found[0] == "[" else found[0]
