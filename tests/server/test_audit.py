"""The audit log: every request to delete or restore, refused ones too, as W&B's log has it."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.caller import Caller, new_project
from tests.server.artifact_logger import ArtifactLogger
from wbgql.server import add_team, add_user, audit_log, audit_requests, purge, scan_store, start
from wbgql.server.audit.actions import NOT_NOTED, NOTED
from wbgql.server.http.app import RESOLVERS

DELETE = "mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"
BULK = "mutation B($input: %sInput!) { %s(input: $input) { clientMutationId } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp("audit")) as running:
        yield running


@pytest.fixture
def caller(server) -> Caller:
    return Caller(server.base_url, server.api_key)


def bulk(caller: Caller, name: str, project: str, **given: Any) -> None:
    document = BULK % (name[0].upper() + name[1:], name)
    caller.ask(document, input={"entityName": "admin", "projectName": project, "filters": "{}"} | given)


def read(caller: Caller, **params: Any) -> requests.Response:
    return requests.get(
        f"{caller.base_url}/admin/audit_logs", params=params, auth=("api", caller.api_key), timeout=10
    )


def entries(caller: Caller, project: str, **params: Any) -> list[dict[str, Any]]:
    answer = read(caller, **params)
    assert answer.status_code == 200, answer.text
    found = [json.loads(line) for line in answer.text.splitlines()]
    return [entry for entry in found if entry.get("project_name") == project]


def requests_about(server, project: str) -> list[tuple[str, str, int]]:
    found = audit_requests(server.data)
    return [(one["actor"], one["mutation"], one["code"]) for one in found if one["project"] == project]


def changes_of(server, project: str) -> list[tuple[str, str]]:
    return [(one["actor"], one["action"]) for one in audit_log(server.data) if one["project"] == project]


def test_deletions_and_what_undoes_them_are_listed_without_a_run(caller):
    project = new_project()
    storage_id = caller.upsert(project, name="the-run-itself")["bucket"]["id"]
    caller.ask(DELETE, id=storage_id)
    bulk(caller, "undeleteRuns", project)
    bulk(caller, "deleteRuns", project)

    found = entries(caller, project)

    assert [entry["action"] for entry in found] == ["run:delete", "run:undelete_many", "run:delete_many"]
    assert {(one["actor_email"], one["entity_name"], one["response_code"]) for one in found} == {
        ("admin@localhost", "admin", 200)
    }
    assert "the-run-itself" not in json.dumps(found)
    assert datetime.fromisoformat(found[0]["timestamp"]) <= datetime.now(UTC)


def test_the_deletion_of_an_artifact_carries_its_digest_and_outlives_its_purge(caller, server):
    project = new_project()
    logger = ArtifactLogger(caller, project)
    artifact_id = logger.log("a-secret-name", {"a": b"1"})
    digest = logger.get(artifact_id)["digest"]
    logger.delete(artifact_id, aliases=True)

    purge(server.data, now=datetime.now(UTC) + timedelta(days=30))

    (entry,) = entries(caller, project)
    assert (entry["action"], entry["artifact_digest"], entry["artifact_asset"]) == (
        "artifact:delete",
        digest,
        artifact_id,
    )
    assert scan_store(server.data, [b"a-secret-name"]) == []


def test_refused_requests_are_noted_with_their_answer(caller, server):
    project, name = new_project(), f"ann-{secrets.token_hex(3)}"
    ann = Caller(server.base_url, add_user(server.data, name))
    add_team(server.data, f"team-{name}", member=name)
    theirs = caller.upsert(project, name="r1", entityName=f"team-{name}")["bucket"]["id"]

    assert ann.post(DELETE, id=theirs).status_code == 403
    assert caller.post(DELETE, id="UnVuOnYxOm5vbmU6cHJvamVjdDphZG1pbg==").status_code == 404

    assert requests_about(server, project)[1:] == [(name, "deleteRun", 403)]
    assert [entry["response_code"] for entry in entries(caller, project)] == [403]


def test_what_wandb_has_no_word_for_is_noted_here_alone(caller, server):
    project = new_project()
    caller.upsert(project, name="r1")
    given = {"entityName": "admin", "projectName": project, "runName": "r1", "files": ["a.txt"]}
    document = "mutation C($input: CreateRunFilesInput!) { createRunFiles(input: $input) { files { id } } }"
    (file,) = caller.ask(document, input=given)["createRunFiles"]["files"]

    caller.ask("mutation D($ids: [ID!]!) { deleteFiles(input: {files: $ids}) { success } }", ids=[file["id"]])
    caller.run(project, "r1")

    assert requests_about(server, project)[1:] == [("admin", "deleteFiles", 200)]
    assert entries(caller, project) == []


def test_days_are_chosen_and_people_left_out(caller):
    project = new_project()
    storage_id = caller.upsert(project, name="r1")["bucket"]["id"]
    caller.ask(DELETE, id=storage_id)
    today = datetime.now(UTC).date()

    assert len(entries(caller, project, startDate=str(today), numDays=1)) == 1
    assert len(entries(caller, project, startDate=str(today - timedelta(days=3)), numDays=5)) == 1
    assert entries(caller, project, startDate=str(today - timedelta(days=3)), numDays=2) == []
    assert "actor_email" not in entries(caller, project, anonymize="true")[0]


@pytest.mark.parametrize(
    "params",
    [
        {"startDate": "yesterday"},
        {"numDays": "0"},
        {"numDays": "x"},
        {"numDays": "9" * 20},
        {"limit": "0"},
        {"cursor": "x"},
        {"top": "3"},
    ],
)
def test_what_it_does_not_understand_is_refused(caller, params):
    assert read(caller, **params).status_code == 400


def test_a_limit_makes_pages_of_it(caller):
    project = new_project()
    for name in ("a", "b"):
        caller.ask(DELETE, id=caller.upsert(project, name=name)["bucket"]["id"])
    pages, asked = [], {"limit": "1"}
    while True:
        pages.append(read(caller, **asked).json())
        if pages[-1]["next_cursor"] is None:
            break
        asked["cursor"] = pages[-1]["next_cursor"]

    whole = [json.loads(line) for line in read(caller).text.splitlines()]
    assert [entry for page in pages for entry in page["audit_logs"]] == whole
    assert {page["count"] for page in pages} == {1}


def test_only_admins_may_read_it(server):
    ann = Caller(server.base_url, add_user(server.data, f"ann-{secrets.token_hex(3)}"))

    assert read(ann).status_code == 403
    assert requests.get(f"{server.base_url}/admin/audit_logs", timeout=10).status_code == 401


def test_each_mutation_that_is_served_is_noted_or_has_a_reason():
    served = {name for one in RESOLVERS for kind, name in one.fields if kind == "Mutation"}

    assert served == NOTED.keys() | NOT_NOTED.keys()
    assert NOTED.keys().isdisjoint(NOT_NOTED)
    assert all(NOT_NOTED.values())


def test_aliases_links_and_collections_are_noted(caller, server):
    project = new_project()
    logger = ArtifactLogger(caller, project)
    version = logger.log("net", {"w": b"1"})
    place = {"entityName": "admin", "projectName": project, "artifactCollectionName": "net"}
    alias = "mutation A($id: ID!, $a: [ArtifactCollectionAliasInput!]!) { %s(input: {artifactID: $id, aliases: $a}) { success } }"
    for name in ("addAliases", "deleteAliases"):
        caller.ask(alias % name, id=version, a=[place | {"alias": "best"}])
    target = {"entityName": "admin", "projectName": project, "artifactPortfolioName": "prod"}
    link = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { artifactCollectionID } }"
    portfolio = caller.ask(link, input={"artifactID": version, **target})["linkArtifact"][
        "artifactCollectionID"
    ]
    sequence = caller.ask(
        'query C($p: String!) { project(name: $p, entityName: "admin") { artifactCollection(name: "net") { id } } }',
        p=project,
    )["project"]["artifactCollection"]["id"]
    rename = 'mutation R($id: ID!) { updateArtifact%s(input: {artifact%sID: $id, name: "%s"}) { artifactCollection { id } } }'
    for kind, its_id in (("Sequence", sequence), ("Portfolio", portfolio)):
        caller.ask(rename % (kind, kind, f"new-{kind}"), id=its_id)
    retype = 'mutation M($id: ID!) { moveArtifactSequence(input: {artifactSequenceID: $id, destinationArtifactTypeName: "t"}) { artifactCollection { id } } }'
    caller.ask(retype, id=sequence)
    caller.ask('mutation { updateUser(input: {defaultEntity: "admin"}) { user { id } } }')

    assert [mutation for _, mutation, code in requests_about(server, project) if code == 200] == [
        "createArtifact",
        "commitArtifact",
        "addAliases",
        "deleteAliases",
        "linkArtifact",
        "updateArtifactSequence",
        "updateArtifactPortfolio",
        "moveArtifactSequence",
    ]
    digest = logger.get(version)["digest"]
    assert [one["digest"] for one in audit_requests(server.data) if one["mutation"] == "linkArtifact"] == [
        digest
    ]
    last = audit_requests(server.data)[-1]
    assert (last["mutation"], last["entity"], last["code"]) == ("updateUser", "admin", 200)


def test_what_an_upsert_makes_replaces_or_removes_is_noted_and_what_it_adds_is_not(caller, server):
    project = new_project()
    config = {"lr": {"value": 1}, "_wandb": {"value": {"t": 1}}}
    caller.upsert(project, name="r1", displayName="one", tags=["a"], config=config)

    def noted(**fields: Any) -> int:
        before = len(requests_about(server, project))
        caller.upsert(project, **({"name": "r1", "jobProgram": None} | fields))
        return len(requests_about(server, project)) - before

    more = {"lr": {"value": 1}, "new": {"value": 2}, "_wandb": {"value": {"t": 2}}}
    adds = [
        {},
        {"displayName": "one"},
        {"tags": ["a", "b"]},
        {"config": more},
        {"summaryMetrics": {"acc": 1}},
    ]
    adds.append({"notes": "first"})
    assert [noted(**fields) for fields in adds] == [0] * 6
    takes: list[dict[str, Any]] = [
        {"name": "r2"},
        {"displayName": "two"},
        {"notes": ""},
        {"tags": ["b"]},
        {"config": {"new": {"value": 2}}},
        {"config": {"new": {"value": 3}}},
        {"summaryMetrics": {}},
        {"jobProgram": "train.py"},
    ]
    assert [noted(**fields) for fields in takes] == [1] * 8
    storage_id = caller.run(project, "r1")["id"]
    assert noted(id=storage_id, name=None, displayName="three") == 1

    stranger = Caller(server.base_url, add_user(server.data, f"eve-{secrets.token_hex(3)}"))
    eve = "mutation U($input: UpsertBucketInput!) { upsertBucket(input: $input) { inserted } }"
    assert stranger.post(eve, input={"id": storage_id, "tags": ["a", "b"]}).status_code == 404
    assert requests_about(server, project)[-1][1:] == ("upsertBucket", 404)


def test_rows_that_a_new_process_drops_are_noted_by_their_run(caller, server):
    project = new_project()
    caller.upsert(project, name="r1")
    caller.log(project, "r1", {"_step": 0}, {"_step": 1})
    caller.upsert(project, name="r1")
    assert changes_of(server, project) == []

    caller.log(project, "r1", {"_step": 0})

    assert changes_of(server, project) == [("admin", "run:start_over")]


def test_what_its_time_to_live_ends_is_noted(caller, server):
    project = new_project()
    logger = ArtifactLogger(caller, project)
    version = logger.log("net", {"w": b"1"}, ttlDurationSeconds=1)

    purge(server.data, now=datetime.now(UTC) + timedelta(hours=1))

    assert logger.get(version)["state"] == "DELETED"
    assert changes_of(server, project) == [("retention", "artifact:expire")]


def test_names_without_end_and_halves_of_pairs_are_noted_short(caller, server):
    long = "x" * 100_000
    upsert = "mutation U($input: UpsertBucketInput!) { upsertBucket(input: $input) { inserted } }"
    assert caller.post(upsert, input={"entityName": long, "modelName": long}).status_code == 404
    assert caller.post(upsert, input={"entityName": "\ud800", "modelName": "p"}).status_code in (400, 404)

    noted = audit_requests(server.data)
    assert max(len(one["entity"] or "") for one in noted) == 256
