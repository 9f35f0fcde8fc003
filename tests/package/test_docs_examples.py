"""The Python of the pages runs as it stands: against a local server that holds the project they speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bulk import FIRST_INSTANT, BulkRun, load_runs
from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.server import RunningServer, add_user, start

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGES = (
    "querying.md",
    "exporting.md",
    "history.md",
    "artifacts.md",
    "changing.md",
    "operations.md",
    "erasure.md",
)


def make_run(number: int) -> BulkRun:
    """One of the runs of `acme/vision`, with every key that the pages name."""
    rows = [
        {"_step": step, "_timestamp": 1.7e9 + step, "loss": 20.0 / (step + 1), "val/acc": step / 50}
        for step in range(0, 50, 1 + number % 2)
    ]
    return BulkRun(
        name="3f2a9c1e" if number == 0 else f"run{number:04d}",
        display_name=f"resnet {number}",
        state="crashed" if number % 7 == 3 else "finished",
        tags=("keep",) if number % 10 == 5 else (),
        created_at=FIRST_INSTANT + timedelta(minutes=number),
        group=f"group-{number % 4}",
        job_type="train",
        config={
            "lr": 0.1 / (1 + number % 5),
            "model": {"name": "resnet", "depth": 18},
            "a.b": number % 3,
            "layers": [64, 32],
        },
        summary={
            "val/acc": 0.5 + number / 400,
            "loss": "NaN" if number % 11 == 4 else {"min": 0.1},
            "_step": 49,
            "_runtime": 60 * number,
        },
        history=rows if number < 20 else (),
        events=[{"_runtime": 1.0, "_timestamp": 1.7e9, "system.cpu": 5.0}] if number < 20 else (),
        console=("epoch 1", "epoch 2") if number < 20 else (),
    )


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("acme")
    with start(folder) as server:
        add_user(folder, "acme")
        load_runs(folder, "vision", 200, make=make_run, entity="acme")
        load_runs(folder, "language", 20, make=make_run, entity="acme")
        log_artifacts(Caller(server.base_url, server.api_key))
        yield server


def log_artifacts(caller: Caller) -> None:
    """`net:best`, which run 3f2a9c1e logged, made from `ds:v0`, which it used."""
    logger = ArtifactLogger(caller, "vision", entity="acme")
    data = logger.log("ds", {"a.txt": b"a"}, runName="run0001")
    given = {"artifactID": data, "entityName": "acme", "projectName": "vision", "runName": "3f2a9c1e"}
    caller.ask(
        "mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }",
        input=given,
    )
    model = {"artifactTypeName": "model", "runName": "3f2a9c1e", "aliases": ["best"]}
    logger.log("net", {"net.pt": b"weights", "card.md": b"# net"}, **model)


TEAM = """
query ListTags($entity: String!, $project: String!) {
  project(entityName: $entity, name: $project) { tagCounts { name count } }
}
"""


def blocks(page: str) -> list[tuple[int, str]]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)) + 1, found.group(1)) for found in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_one_after_the_other(
    page: str, acme: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in acme.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WBGQL_HOLDS", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "ListTags.graphql").write_text(TEAM)
    names: dict[str, Any] = {"__name__": page}

    for line, source in blocks(page):
        # The page's own line numbers, so that a failure points into the page.
        code = compile("\n" * (line - 1) + source, str(DOCS / page), "exec", dont_inherit=True)
        exec(code, names)


def test_the_pages_have_examples() -> None:
    assert all(blocks(page) for page in PAGES)
