"""The documents agree with the code: commands exist, the exit codes are the table, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

import wbgql
import wbgql.server
from wbgql.cli.main import cli
from wbgql.cli.shared import exit_codes

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def commands(page: Path) -> list[list[str]]:
    """Every `wbgql ...` that a page shows, in consoles and in tables, as words."""
    text = page.read_text(encoding="utf-8")
    consoles = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [
        line.removeprefix("$ ") for block in consoles for line in block.replace("\\\n", " ").splitlines()
    ]
    lines += re.findall(r"`(wbgql [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("wbgql ")]
    return [line[: line.index("|")] if "|" in line else line for line in words]


SHOWN = [(page.name, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(
    ("page", "words"), SHOWN, ids=lambda value: value if isinstance(value, str) else " ".join(value)[:60]
)
def test_a_command_that_is_shown_exists_with_its_options(page: str, words: list[str]) -> None:
    command: click.Command = cli
    rest = words[1:]
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        found = command.commands.get(rest[0])
        assert found is not None or rest[0] == "...", f"{page}: no command {rest[0]!r} in {' '.join(words)!r}"
        if found is None:
            return
        command, rest = found, rest[1:]
    known = {
        option
        for parameter in (*command.params, *cli.params)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    used = {
        word.partition("=")[0]
        for word in rest
        if word.startswith("-") and word != "-" and not word.startswith("-summary")
    }
    assert used <= known | {"--help", "-h", "--version"}, f"{page}: {' '.join(words)!r}"


def test_some_commands_were_found() -> None:
    assert len(SHOWN) > 20


def test_the_table_of_exit_codes_is_the_codes_own() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").replace("\\|", "|")

    for row in exit_codes.table():
        errors = " ".join(f"`{name}`" for name in row.errors) or "-"
        assert f"| {row.code} | {row.meaning} | {errors} |" in page


def test_every_command_is_in_the_page_of_commands() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    for name in cli.commands:
        assert f"`wbgql {name}" in page, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_public_name_can_be_had_and_is_documented() -> None:
    for name in wbgql.__all__:
        assert (getattr(wbgql, name).__doc__ or "").strip(), name


def test_the_readmes_python_is_the_languages_python() -> None:
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            compile(block, page.name, "exec")


@pytest.mark.parametrize("package", [wbgql, wbgql.server])
def test_every_name_that_a_package_offers_is_there(package: ModuleType) -> None:
    assert [name for name in package.__all__ if not hasattr(package, name)] == []
