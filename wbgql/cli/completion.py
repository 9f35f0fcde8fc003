"""`wbgql completion`."""

from __future__ import annotations

import click

from wbgql.cli.app import examples

VARIABLE = "_WBGQL_COMPLETE"


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

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    script = kind(ctx.find_root().command, {}, "wbgql", VARIABLE).source()
    # click's script for fish (8.5) ends a word at its first comma, and keys may hold one.
    click.echo(script.replace('string split ","', 'string split --max 1 ","'))
