"""The library's advice in the words of the command line. No I/O."""

from __future__ import annotations

import re

# What the library tells a program to write, and what does the same on the command line.
_SPELLINGS: tuple[tuple[str, str], ...] = (
    # A field that the client may compare is written like any other; the option says it for all.
    (r'\b(summary|config)\(("(?:[^"\\]|\\.)*"), client_side=True\)', r"\1[\2]"),
    (r"client_side=True in the (?:field and in the )?call", "--client-side"),
    (r"client_side=True", "--client-side"),
    (r"stable=True", "--stable"),
    (r", or on_unstable='warn'", ""),
    (r", or with a smaller page_size", ""),
    (r"; \.verified\(\) leaves such runs out", "; --format ids leaves such runs out"),
    (r"`?client\.fields\(path, pattern=\.\.\.\)`?", "`wbgql fields PATH --pattern TEXT`"),
    (r"types=\{name: 'json'\} keeps all", "--types NAME=json keeps all"),
    (r"allow_mutation=True", "--mutation"),
    (r", or pass api_key=", ""),
    (r"replace=True \(--replace\)", "--replace"),
    (r"ask client\.history\(runs, keys=\[\.\.\.\]\) for them", "`wbgql history --key KEY` reads them"),
    (r"give it to client\.history\(\.\.\.\)\.where\(\)", "give it to `wbgql history --step-where`"),
    (r"leave out order='[^']*', or sort after", "leave out --order, or sort after"),
    (r"select runs with client\.runs\(where=\.\.\.\)", "select runs with --where"),
    (r" or tzinfo=UTC", ""),
    (r"read text with parse_expression", "write a comparison"),
    (r"\bwb\.(?=(?:run|summary|config|step)\b)", ""),
)


def for_command_line(text: str) -> str:
    """Return a message of the library with what it says to write spelt as the command line takes it.

    What follows the first line is the caller's own text, and stays.
    """
    said, line, own = text.partition("\n")
    for python, command in _SPELLINGS:
        said = re.sub(python, command, said)
    return f"{said}{line}{own}"
