"""The filter samples, asked of the running server's `runs(filters:)` over runs that hold their documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller, new_project

SAMPLES = Path(__file__).parent.parent / "samples"
INPUT_NAMES = {
    "displayName": "displayName",
    "state": "state",
    "tags": "tags",
    "group": "groupName",
    "jobType": "jobType",
    "sweep": "sweep",
    "host": "host",
    "config": "config",
    "summary_metrics": "summaryMetrics",
}
RUNS = """
query Runs($project: String!, $filters: JSONString) {
  project(name: $project, entityName: "admin") {
    runCount(filters: $filters)
    runs(first: 100, filters: $filters, order: "+created_at") { totalCount edges { node { name } } }
  }
}
"""


def is_run(document: dict[str, Any]) -> bool:
    """Can the SDK or an upsert make a run that holds just this?"""
    if not set(document) <= {*INPUT_NAMES, "name"} or "$numberDouble" in json.dumps(document):
        return False
    config = document.get("config", {})
    wrapped = isinstance(config, dict) and all(
        isinstance(value, dict) and set(value) == {"value"} for value in config.values()
    )
    strings = all(
        isinstance(document.get(name, ""), str)
        for name in ("name", "displayName", "state", "group", "jobType", "sweep", "host")
    )
    tags = document.get("tags", [])
    return (
        wrapped
        and strings
        and isinstance(document.get("summary_metrics", {}), dict)
        and isinstance(tags, list)
        and all(isinstance(tag, str) for tag in tags)
    )


def asks_of_absence(case: dict[str, Any]) -> bool:
    """A run always has a state, an id and so on: a sample about their absence cannot be made of runs."""
    return any(
        f'"{name}"' in json.dumps(case["filter"]) for name in ("name", "state", "displayName")
    ) and any(not {"name", "state", "displayName"} <= set(document) for document in case["docs"])


CASES = [
    case
    for case in json.loads((SAMPLES / "filters.json").read_text(encoding="utf-8"))
    if all(is_run(document) for document in case["docs"]) and not asks_of_absence(case)
]
ERRORS = [
    case
    for case in json.loads((SAMPLES / "filter_errors.json").read_text(encoding="utf-8"))
    if case["verdict"] == "raises"
]


def make_runs(caller: Caller, documents: list[dict[str, Any]]) -> str:
    project = new_project()
    for number, document in enumerate(documents):
        fields = {INPUT_NAMES[name]: value for name, value in document.items() if name in INPUT_NAMES}
        caller.upsert(project, name=document.get("name", f"run-{number}"), **fields)
    return project


def test_enough_of_the_samples_can_be_runs() -> None:
    assert len(CASES) > 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']}-{case['topic']}")
def test_a_filter_selects_the_runs_it_should(caller: Caller, case: dict[str, Any]) -> None:
    project = make_runs(caller, case["docs"])
    expected = [case["docs"][number].get("name", f"run-{number}") for number in case["match"]]

    found = caller.ask(RUNS, project=project, filters=json.dumps(case["filter"]))["project"]

    assert [edge["node"]["name"] for edge in found["runs"]["edges"]] == expected
    assert (found["runCount"], found["runs"]["totalCount"]) == (len(expected), len(expected))


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case["why"])
def test_a_malformed_filter_is_refused_with_400(caller: Caller, case: dict[str, Any]) -> None:
    project = make_runs(caller, [{"state": "finished", "tags": ["a"]}])

    answer = caller.post(RUNS, project=project, filters=json.dumps(case["filter"]))

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["message"]
