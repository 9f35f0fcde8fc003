"""Paths of runs and projects, in every form people paste."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbgql.errors import UsageError
from wbgql.paths import (
    ProjectPath,
    RunPath,
    check_url_host,
    parse_listed_run,
    parse_project_path,
    parse_run_path,
    quoted_path,
)

HERE = {"entity": "acme", "project": "vision"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("abc", "acme/vision/abc"),
        ("nlp/abc", "acme/nlp/abc"),
        ("nlp:abc", "acme/nlp/abc"),
        ("ada/nlp/abc", "ada/nlp/abc"),
        ("ada/nlp:abc", "ada/nlp/abc"),
        ("ada/nlp/runs/abc", "ada/nlp/abc"),
        ("/ada/nlp/runs/abc/", "ada/nlp/abc"),
        ("nlp/runs/abc", "acme/nlp/abc"),
        ("/runs/abc", "acme/vision/abc"),
        ("ada/nlp/a:b", "ada/nlp/a:b"),
        (" ada/nlp/abc ", "ada/nlp/abc"),
        ("ada/ nlp/abc", "ada/ nlp/abc"),
        ("ada/%20nlp%20/abc", "ada/ nlp /abc"),
        ("%20nlp/abc", "acme/ nlp/abc"),
        ("nlp/abc/ ", "acme/nlp/abc"),
        ("https://wandb.ai/ada/nlp/runs/abc", "ada/nlp/abc"),
        ("https://wandb.ai/ada/nlp/runs/abc/files/a.txt?nw=x#y", "ada/nlp/abc"),
        ("http://127.0.0.1:8080/ada/my%20nlp/runs/abc", "ada/my nlp/abc"),
        ("https://wandb.ai/ada/runs/runs/abc", "ada/runs/abc"),
        ("https://forge.coreweave.com/wandb/ada/nlp/runs/abc", "ada/nlp/abc"),
    ],
)
def test_parse_run_path_reads_every_form(text: str, path: str) -> None:
    assert str(parse_run_path(text, **HERE)) == path


@pytest.mark.parametrize(
    ("text", "given_", "says"),
    [
        ("abc", {"entity": "acme"}, "no project; write it in the path, pass project= or set WANDB_PROJECT"),
        ("abc", {"project": "nlp"}, "no entity; .* set WANDB_ENTITY"),
        ("nlp/abc", {}, "no entity"),
        ("", HERE, "no run_id"),
        ("ada//abc", HERE, "no project"),
        ("a/b/c/d/e", HERE, "give entity/project/run_id"),
        ("ada/nlp/sweeps/abc", HERE, "give entity/project/run_id"),
        ("https://wandb.ai/ada/nlp", HERE, "the URL of the run"),
        ("https://wandb.ai/ada/nlp/sweeps/abc", HERE, "the URL of the run"),
        ("https://[bad/ada/nlp/runs/abc", HERE, "is not a URL"),
        ("https://wandb.ai/ada/nlp/runs/a%2Fb", HERE, "holds a slash"),
        ("ada/nlp/a\nb", HERE, "cannot be seen"),
    ],
)
def test_parse_run_path_says_what_is_missing_and_where_it_may_be_set(
    text: str, given_: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        parse_run_path(text, **given_)


@pytest.mark.parametrize(
    "path",
    [
        RunPath("ada", "runs", "abc"),
        RunPath("ada", "nlp", "runs"),
        RunPath("ada", " nlp ", "abc"),
        RunPath("ada", "nlp", "a\nb"),
        RunPath("ada", "nlp", " a:b#c?d%20 "),
    ],
    ids=str,
)
def test_a_list_is_read_as_it_was_written(path: RunPath) -> None:
    assert parse_listed_run(str(path)) == path
    assert parse_listed_run(str(path), entity="acme", project=ProjectPath("acme", "vision")) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("abc", "acme/vision/abc"),
        ("a:b", "acme/vision/a:b"),
        ("nlp/abc", "ada/nlp/abc"),
        ("ada/nlp/runs/abc", "ada/nlp/abc"),
        ("/ada/nlp/abc/", "ada/nlp/abc"),
        ("https://wandb.ai/ada/nlp/runs/abc", "ada/nlp/abc"),
    ],
)
def test_a_list_takes_what_names_its_project(text: str, path: str) -> None:
    assert str(parse_listed_run(text, entity="ada", project=ProjectPath("acme", "vision"))) == path


@pytest.mark.parametrize("text", ["abc", "", " ", "/", "ada//abc", "a/b/c/d/e"])
def test_a_list_is_never_completed(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listed_run(text, entity="ada")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("vision", "acme/vision"),
        ("ada/nlp", "ada/nlp"),
        ("/ada/nlp/", "ada/nlp"),
        ("https://wandb.ai/ada/nlp", "ada/nlp"),
        ("https://wandb.ai/ada/nlp/runs/abc", "ada/nlp"),
        ("https://wandb.ai/ada/nlp/workspace?nw=1", "ada/nlp"),
        ("https://qa.forge.coreweave.com/wandb/ada/nlp/table", "ada/nlp"),
    ],
)
def test_parse_project_path_reads_every_form(text: str, path: str) -> None:
    assert str(parse_project_path(text, entity="acme")) == path


@pytest.mark.parametrize(
    ("text", "entity", "says"),
    [
        ("vision", None, "no entity; .*WANDB_ENTITY"),
        ("", "acme", "no project"),
        ("ada/", None, "no entity"),
        ("a/b/c", "acme", "has 3 parts: give entity/project"),
        ("https://wandb.ai/ada", "acme", "URL of the project"),
    ],
)
def test_parse_project_path_says_what_is_wrong(text: str, entity: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_project_path(text, entity=entity)


def test_a_run_path_knows_its_project() -> None:
    assert RunPath("ada", "nlp", "abc").project_path == ProjectPath("ada", "nlp")


PART = st.text(st.characters(categories=["L", "N"], include_characters="-_."), min_size=1).filter(
    lambda text: text not in ("runs", "sweeps") and text.isprintable() and not text.startswith("http")
)


@settings(deadline=None)
@given(PART, PART, PART)
def test_a_path_read_back_is_the_same(entity: str, project: str, run_id: str) -> None:
    path = RunPath(entity, project, run_id)

    assert parse_run_path(str(path)) == path
    assert parse_run_path(f"{entity}/{project}/runs/{run_id}") == path
    assert parse_project_path(str(path.project_path)) == path.project_path


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("acme/vision/r1", "http://127.0.0.1:9000"),
        ("https://wandb.ai/acme/vision/runs/r1", "https://api.wandb.ai"),
        ("https://WWW.wandb.ai/acme/vision", "https://api.wandb.ai"),
        ("https://wandb.ai/acme/vision", "https://api.forge.coreweave.com"),
        ("https://forge.coreweave.com/wandb/acme/vision", "https://api.wandb.ai"),
        ("https://acme.wandb.io/acme/vision", "https://acme.wandb.io"),
        ("http://localhost:8080/acme/vision/runs/r1", "http://localhost:8080"),
    ],
)
def test_a_url_of_the_server_that_is_reached_passes(text: str, base_url: str) -> None:
    check_url_host(text, base_url)

    with pytest.raises(UsageError):  # so that passing is not all it ever does
        check_url_host("https://other.example/acme/vision", base_url)


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("https://wandb.ai/acme/vision", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:9001/acme/vision", "http://127.0.0.1:9000"),
        ("https://wandb.ai.evil.example/acme/vision", "https://api.wandb.ai"),
        ("https://acme.wandb.io/acme/vision", "https://api.wandb.ai"),
    ],
)
def test_a_url_of_another_server_is_refused(text: str, base_url: str) -> None:
    with pytest.raises(UsageError, match="base_url names"):
        check_url_host(text, base_url)


@pytest.mark.parametrize(
    "name", [" lead", "trail ", " both ", "a b", "nlp", " ", "a\tb", "\N{NO-BREAK SPACE}x"]
)
def test_every_project_can_be_written_as_a_text(name: str) -> None:
    path = ProjectPath("acme", name)

    assert parse_project_path(quoted_path(path)) == path
    assert parse_project_path(f"https://wandb.ai/acme/{quote(name)}") == path


def test_a_blank_in_front_of_a_project_is_a_part_of_its_name() -> None:
    assert parse_project_path("acme/ lead ").project == " lead"
    assert parse_project_path(" acme/lead ").project == "lead"
    assert quoted_path(ProjectPath("acme", "a b")) == "acme/a b"
    for text in ("acme/ ", "acme/a%2Fb"):
        with pytest.raises(UsageError):
            parse_project_path(text)
