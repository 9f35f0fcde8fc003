"""The local server as one that lacks a field, hides its schema, or refuses deleted ids as W&B does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, print_schema, validate_schema

import wbgql as wb
from tests.caller import Caller
from wbgql.documents import load_documents
from wbgql.errors import ConfigError, WbgqlError
from wbgql.live_schema import check_live
from wbgql.resources import schema_file
from wbgql.server import ServerSettings, serve, start
from wbgql.server.likeness.lacking import answer_null, take_out
from wbgql.settings import Settings

LACKED = ("Run.storageBytes", "RunConnection.totalCount", "Run.config(keys:)")


def test_a_server_that_lacks_parts_and_hides_its_schema_is_read_all_the_same(tmp_path: Path) -> None:
    with start(tmp_path / "store", without=LACKED, introspection="off", deleted_ids=409) as server:
        caller = Caller(server.base_url, server.api_key)
        made = caller.upsert("p", name="r1", config='{"lr": {"value": 0.1}}')
        client = wb.Client(settings=Settings(base_url=server.base_url, api_key=server.api_key))

        refused = caller.post("{ viewer { id nothing } __schema { types { name } } }").json()["errors"]
        runs = list(client.runs("admin/p", select=[wb.config["lr"]]))
        found = check_live(client.session, load_documents())
        caller.ask(
            "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
            id=made["bucket"]["id"],
        )
        again = caller.post(
            'mutation U { upsertBucket(input: {entityName: "admin", modelName: "p", name: "r1"}) { inserted } }'
        )

    assert any("introspection" in error["message"].lower() for error in refused)
    assert [run.config for run in runs] == [{"lr": 0.1}]
    outcomes = {each.operation: each for each in found.findings}
    assert not found.introspected
    assert outcomes["ListRunBytes"].without == ("Run.storageBytes",)
    assert outcomes["ListRuns"].outcome == "works without"
    assert {each.outcome for each in found.findings if each.kind == "mutation"} == {"not checked"}
    assert again.status_code == 409
    assert "previously created and deleted" in again.text


@pytest.mark.parametrize(
    "coordinate", ["Run.nothing", "Nothing.id", "Rum", "Query", "__Type", "Run.config(nothing:)"]
)
def test_what_the_schema_does_not_have_cannot_be_left_out(coordinate: str) -> None:
    schema = build_schema(schema_file().read_text(encoding="utf-8"))

    with pytest.raises(ConfigError, match=re.escape(coordinate)):
        take_out(schema, [coordinate])


def test_a_type_goes_with_all_that_is_of_it() -> None:
    schema = build_schema(schema_file().read_text(encoding="utf-8"))

    take_out(schema, ["Artifact", "ArtifactSequence", "ArtifactPortfolio", "JSONString"])

    assert not validate_schema(schema)
    again = build_schema(print_schema(schema))
    assert "Artifact" not in again.type_map
    assert "artifact" not in again.type_map["Query"].fields
    assert {"id", "name", "tags"} <= set(again.type_map["Run"].fields)
    assert "config" not in again.type_map["Run"].fields


def test_a_server_without_artifacts_lists_its_runs(tmp_path: Path) -> None:
    with start(tmp_path / "store", without=("Artifact",)) as server:
        Caller(server.base_url, server.api_key).upsert("p", name="r1")
        client = wb.Client(settings=Settings(base_url=server.base_url, api_key=server.api_key))

        runs = [run.id for run in client.runs("admin/p")]
        with pytest.raises(WbgqlError, match="Artifact"):
            list(client.artifacts("admin/p"))

    assert runs == ["r1"]


@pytest.mark.parametrize("given", [{"without": ["Run.storageByte"]}, {"null": ["Run.usre"]}])
def test_a_misspelt_coordinate_is_refused_before_the_store_is_made(tmp_path: Path, given: Any) -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        start(tmp_path / "store", **given)
    with pytest.raises(ConfigError, match="did you mean"):
        serve(ServerSettings(data=tmp_path / "store", port=0, **given))

    assert not (tmp_path / "store").exists()


def test_one_server_does_not_lack_what_another_does(tmp_path: Path) -> None:
    with start(tmp_path / "one", without=("Run.storageBytes",)) as one, start(tmp_path / "two") as two:
        answers = [
            Caller(server.base_url, server.api_key)
            .post('{ project(name: "p", entityName: "admin") { runs { edges { node { storageBytes } } } } }')
            .status_code
            for server in (one, two)
        ]

    assert answers == [400, 200]


def test_a_field_is_answered_null_where_its_type_allows_it(tmp_path: Path) -> None:
    question = (
        '{ project(name: "p", entityName: "admin") { run(name: "r1") { name config user { username } } } }'
    )
    with start(tmp_path / "store", null=("Run.user", "Run.config")) as server:
        caller = Caller(server.base_url, server.api_key)
        caller.upsert("p", name="r1", config='{"lr": {"value": 0.1}}')

        run = caller.ask(question)["project"]["run"]

    assert run == {"name": "r1", "config": None, "user": None}


@pytest.mark.parametrize("coordinate", ["Run.nothing", "Nothing.id", "Run", "Run.config(keys:)", "Run.id"])
def test_what_is_never_null_cannot_be_answered_null(coordinate: str) -> None:
    schema = build_schema(schema_file().read_text(encoding="utf-8"))

    with pytest.raises(ConfigError, match=re.escape(coordinate)):
        answer_null(schema, [coordinate])
