"""`wbgql completion`: words for the shell, quoted for the state that the shell is in.

Words come from the server: a key of a run may be `';touch x;'`. bash inserts a word as it is given, so it is
quoted here. zsh and fish quote what they insert.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE = "_WBGQL_COMPLETE"
# What stands on the line before the cursor, as it was typed.
TYPED = "_WBGQL_TYPED"

# click's own script for bash (8.5) expands `*` in a word, and takes its backslashes away.
_BASH = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case "${line%%%%,*}" in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(IFS=$'\\n'; env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        _WBGQL_TYPED="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command(
    "completion",
    short_help="Print a completion script for your shell.",
    epilog=examples(
        'eval "$(wbgql completion bash)"',
        "wbgql completion fish > ~/.config/fish/completions/wbgql.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL."""
    from click.shell_completion import get_completion_class

    register_shells()
    kind = get_completion_class(shell)
    assert kind is not None  # all three were registered
    click.echo(kind(ctx.find_root().command, {}, "wbgql", VARIABLE).source())


def register_shells() -> None:
    """Let click answer the shells with words that are safe to insert."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete, add_completion_class

    class Bash(BashComplete):
        source_template = _BASH

        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
            items = _one_line(super().get_completions(args, incomplete))
            quoted = ((item, quote_for_bash(item.value, os.environ)) for item in items)
            return [_renamed(item, word) for item, word in quoted if word is not None]

    class Zsh(ZshComplete):
        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
            return _one_line(super().get_completions(args, incomplete))

    class Fish(FishComplete):
        # click's script for fish (8.5) ends a word at its first comma, and takes `-n` for an option of echo.
        source_template = FishComplete.source_template.replace(
            'string split ","', 'string split --max 1 ","'
        ).replace("echo $metadata[2]", r"printf '%%s\n' $metadata[2]")

        def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
            return _one_line(super().get_completions(args, incomplete))

    for kind in (Bash, Zsh, Fish):
        add_completion_class(kind)


def quote_for_bash(word: str, environ: Mapping[str, str]) -> str | None:
    """Return what bash is to insert for `word`, None if no form of it is safe where the cursor stands.

    bash keeps a quote that the current word begins with, inserts the text after it, and closes it. Elsewhere
    in a word a quote, or anything that the shell expands, leaves open where the text would go.
    """
    typed = environ.get(TYPED)
    if typed is None:  # a script of an older version, which does not say
        return word if shlex.quote(word) == word else None
    current = _current_word(typed)
    if current is None:
        return None
    quote = current[:1]
    if quote == "'":
        inside = word.replace("'", "'\\''")
    elif quote == '"':
        inside = "".join(f"\\{char}" if char in '\\$`"' else char for char in word)
        inside = inside.replace("!", "\"'!'\"")  # no backslash keeps the history out of double quotes
    else:
        return shlex.quote(word)
    # bash takes a quote at the end for the closing one, and adds none.
    return inside + quote if inside.endswith(quote) else inside


def _current_word(typed: str) -> str | None:
    """The word at the end of a line, as it was typed; None if it is neither plain nor one open quote."""
    quote, start, index = "", 0, 0
    while index < len(typed):
        char = typed[index]
        if char in "`" or typed.startswith("$(", index):
            return None  # a command inside a command: where its words begin is not known here
        if char == "\\" and quote != "'":
            index += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in " \t\n;|&()<>":
            start = index + 1
        index += 1
    word = typed[start:]
    inside = word[1:] if quote and word[:1] == quote else word
    return None if any(char in "'\"\\$" for char in inside) else word


def _one_line(items: list[CompletionItem[Any]]) -> list[CompletionItem[Any]]:
    """Leave out words that a terminal or a script of lines would not take as text."""
    return [item for item in items if str(item.value).isprintable()]


def _renamed(item: CompletionItem[Any], value: str) -> CompletionItem[Any]:
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type=item.type, help=item.help)
