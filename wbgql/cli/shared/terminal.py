"""What is said on stderr, and text made safe for a terminal."""

from __future__ import annotations

import click


def printable(text: str, *, keep: str = "") -> str:
    """Return `text` with every character that could move a cursor or hide text written out.

    Control characters, terminal escapes, bidirectional marks and lone surrogates come from names
    that anybody may give a run; they are shown as `\\x1b`, never acted on.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def note(message: str) -> None:
    """Print one message on stderr."""
    click.echo(printable(message, keep="\n"), err=True)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
