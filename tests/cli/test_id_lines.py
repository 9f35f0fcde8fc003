"""One name a line: whatever the name is, `--ids-from` reads what `--format ids` wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.answers import run, runs
from wbgql.cli.shared.id_lines import from_line, to_line

# What `wandb.init(id=)` takes. Source: wandb SDK 0.31.0 `sdk/wandb_settings.py`, `validate_run_id` (2026-11).
RUN_IDS = st.text(min_size=1).filter(lambda text: text == text.strip() and not set(text) & set(":;,#?/'"))


@given(RUN_IDS, st.booleans())
def test_every_id_that_the_sdk_takes_survives(run_id: str, ascii_only: bool) -> None:
    path = f"acme/vision/{run_id}"
    line = to_line(path, ascii_only=ascii_only)

    assert from_line(f" {line}\r") == path
    assert line.isprintable()
    assert line.isascii() or not ascii_only


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("acme/vision/run 1", "acme/vision/run 1"),
        ("acme/vision/é", "acme/vision/é"),
        ("acme/vision/a\nb", '"acme/vision/a\\nb"'),
        ("acme/vision/a\\nb", "acme/vision/a\\nb"),
        ("acme/vision/ a", "acme/vision/ a"),
        ("acme/vision/a ", '"acme/vision/a "'),
        ('"a/b".txt', '"\\"a/b\\".txt"'),
    ],
)
def test_a_line_is_quoted_only_where_it_must_be(name: str, line: str) -> None:
    assert to_line(name) == line
    assert from_line(line) == name


@pytest.mark.parametrize("line", ["3f2a9c1e", '"quoted"', '"half', "run 1", '"[1]"'])
def test_lines_of_bare_ids_stand_for_themselves(line: str) -> None:
    assert from_line(line) == line


def test_a_list_of_one_project_prints_whole_paths(command) -> None:
    answer = runs(run("run 1"), run("a\nb"))
    got = command("runs", "list", "acme/vision", "--format", "ids", answers=[answer])

    assert got.out == 'acme/vision/run 1\n"acme/vision/a\\nb"\n'
