"""Help: quick, complete, with an example in each; no two parameters of one name."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import click
import pytest

from wbgql.cli.main import cli

HEAVY = ("gql", "graphql", "requests", "wandb", "starlette", "uvicorn", "apsw", "rich", "msgspec")


def _walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _walk(child, (*path, name))


COMMANDS = list(_walk(cli))


@pytest.mark.parametrize(("path", "node"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_every_command_explains_itself_with_an_example(command, path, node) -> None:
    got = command(*path, "--help")

    assert got.code == 0
    assert "Examples:\n    $ " in got.out
    assert " ".join(("wbgql", *path[:1])) in got.out.split("Examples:")[1]
    assert not path or node.short_help.endswith(".")


@pytest.mark.parametrize(("path", "node"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_no_two_parameters_share_a_name(path, node) -> None:
    # `--json` is another way to give `--format`.
    names = [param.name for param in node.params if "--json" not in param.opts]

    assert sorted(names) == sorted(set(names))


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys, wbgql.cli.main as m; assert m.main(['--help']) == 0;"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == "[]"
    assert time.monotonic() - started < 5


def test_no_command_is_a_usage_error_that_shows_the_help(command) -> None:
    got = command()

    assert got.code == 2
    assert "Usage: wbgql" in got.err


def test_an_unknown_option_says_where_help_is(command) -> None:
    got = command("runs", "list", "--nope")

    assert got.code == 2
    assert "error: No such option" in got.err
    assert "wbgql runs list --help" in got.err


def test_version_is_the_packages(command) -> None:
    import wbgql

    assert command("--version").out == f"wbgql, version {wbgql.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(command, shell) -> None:
    got = command("completion", shell)

    assert got.code == 0
    assert "_WBGQL_COMPLETE" in got.out


def test_the_script_for_fish_keeps_commas_in_words(command) -> None:
    lines = [line for line in command("completion", "fish").out.splitlines() if "string split" in line]

    assert len(lines) == 1
    assert '(string split --max 1 "," $completion)' in lines[0]
