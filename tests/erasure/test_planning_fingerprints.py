"""Fingerprints: they change if somebody worked on a run or a version, and only then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stored import World
from wbgql.erasure.reading.facts import (
    ArtifactFacts,
    Output,
    RunFacts,
    RunState,
    VersionState,
    read_artifact_facts,
    read_run_facts,
)
from wbgql.erasure.reading.fingerprints import (
    artifact_fingerprint,
    fingerprint,
    is_artifact_as_planned,
    is_run_as_planned,
)
from wbgql.erasure.records.plan import PlannedArtifact, PlannedRun
from wbgql.errors import NotVisible
from wbgql.paths import RunPath

RUN: dict[str, Any] = {
    "id": "r1",
    "name": "run1",
    "createdAt": "2026-01-01T00:00:00Z",
    "displayName": "name",
    "state": "finished",
    "tags": ["a", "b"],
    "group": "g",
    "jobType": "train",
    "sweepName": None,
    "heartbeatAt": "2026-01-02T00:00:00Z",
    "user": {"username": "ada"},
    "updatedAt": "2026-01-02T00:00:00Z",
    "readOnly": False,
    "historyLineCount": 10,
    "eventsLineCount": 3,
    "logLineCount": 2,
    "fileCount": 4,
    "storageBytes": 1000,
}
VERSION: dict[str, Any] = {
    "id": "a1",
    "digest": "d1",
    "state": "COMMITTED",
    "artifactSequence": {"id": "c1"},
    "aliases": [{"alias": "latest"}, {"alias": "best"}],
    "artifactMemberships": {"edges": [{"node": {"artifactCollection": {"id": "c1"}}}]},
}


def output(number: int, *, kind: str = "model", run: str | None = "r1", digest: str = "d") -> Output:
    creator = {"__typename": "User"} if run is None else {"__typename": "Run", "id": run}
    fields = {"id": f"a{number}", "digest": digest, "artifactType": {"name": kind}, "createdBy": creator}
    return msgspec.convert(fields, Output)


def run_facts(outputs: tuple[Output, ...] = (), **fields: Any) -> RunFacts:
    run = msgspec.convert(RUN | fields, RunState)
    return RunFacts(path=RunPath("acme", "vision", run.name), run=run, outputs=outputs)


def artifact_facts(users: tuple[str, ...] = (), hidden: int = 0, **fields: Any) -> ArtifactFacts:
    version = msgspec.convert(VERSION | fields, VersionState)
    return ArtifactFacts(version=version, users=users, hidden_users=hidden)


def linked(*ids: str) -> dict[str, Any]:
    return {"edges": [{"node": {"artifactCollection": {"id": one}}} for one in ("c1", *ids)]}


WORKED_ON: dict[str, Any] = {
    "id": "r2",
    "createdAt": "2026-01-01T00:00:01Z",
    "displayName": "another",
    "state": "crashed",
    "tags": ["a"],
    "group": None,
    "jobType": "eval",
    "sweepName": "s",
    "heartbeatAt": "2026-01-03T00:00:00Z",
    "updatedAt": None,
    "user": None,
    "historyLineCount": 11,
    "eventsLineCount": None,
    "logLineCount": 3,
    "fileCount": 5,
}


@given(st.dictionaries(st.sampled_from(sorted(WORKED_ON)), st.booleans()))
def test_a_runs_fingerprint_changes_exactly_where_a_fact_does(changed: dict[str, bool]) -> None:
    fields = {name: WORKED_ON[name] for name, does in changed.items() if does}

    assert (fingerprint(run_facts(**fields)) == fingerprint(run_facts())) == (not fields)


def test_order_of_tags_size_and_right_to_write_are_no_work() -> None:
    same = run_facts(tags=["b", "a"], storageBytes=5, readOnly=True)

    assert fingerprint(same) == fingerprint(run_facts())


@given(st.lists(st.integers(0, 5), unique=True), st.lists(st.integers(0, 5), unique=True))
def test_a_runs_fingerprint_is_over_the_set_of_versions_it_made(one: list[int], two: list[int]) -> None:
    prints = [fingerprint(run_facts(tuple(map(output, numbers)))) for numbers in (one, two)]

    assert (prints[0] == prints[1]) == (set(one) == set(two))


def test_other_runs_versions_and_the_servers_own_do_not_count_but_content_does() -> None:
    first = output(1)
    others = (output(2, kind="wandb-history"), output(3, run="r9"), output(4, run=None))

    assert fingerprint(run_facts((first, *others))) == fingerprint(run_facts((first,)))
    assert fingerprint(run_facts((output(1, digest="e"),))) != fingerprint(run_facts((first,)))


def planned_run(facts: RunFacts) -> PlannedRun:
    return PlannedRun(
        entity=facts.path.entity,
        project=facts.path.project,
        id=facts.path.run_id,
        storage_id=facts.run.id,
        created_at=facts.run.created_at,
        owner=None,
        state=facts.run.state,
        fingerprint=fingerprint(facts),
        history_lines=None,
        file_count=None,
        size_bytes=None,
    )


def test_a_run_that_was_logging_may_stop_and_log_more_but_not_get_a_tag_or_a_version() -> None:
    planned = planned_run(run_facts(state="running"))

    stopped = {"state": "killed", "historyLineCount": 99, "updatedAt": "2026-02-01T00:00:00Z", "fileCount": 9}
    assert is_run_as_planned(planned, run_facts(**stopped))
    assert not is_run_as_planned(planned, run_facts(**stopped, tags=["a", "b", "keep"]))
    assert not is_run_as_planned(planned, run_facts((output(1),), **stopped))
    assert not is_run_as_planned(planned_run(run_facts()), run_facts(**stopped))


USED: dict[str, Any] = {
    "state": "DELETED",
    "digest": "d2",
    "aliases": [{"alias": "latest"}],
    "artifactMemberships": linked("portfolio"),
    "users": ("r7",),
    "hidden": 1,
}


@given(st.dictionaries(st.sampled_from(sorted(USED)), st.booleans()))
def test_a_versions_fingerprint_changes_exactly_where_a_fact_does(changed: dict[str, bool]) -> None:
    fields = {name: USED[name] for name, does in changed.items() if does}

    assert (artifact_fingerprint(artifact_facts(**fields)) == artifact_fingerprint(artifact_facts())) == (
        not fields
    )


def planned_artifact(facts: ArtifactFacts, **fields: Any) -> PlannedArtifact:
    known = {"users": fields.get("users", ()), "links": fields.get("links", ())}
    known["numbers"] = fields.pop("numbers", ())
    return PlannedArtifact(
        id=facts.version.id,
        name="net:v0",
        type="model",
        digest=facts.version.digest,
        size_bytes=1,
        decision="erase",
        reason="exclusive",
        fingerprint=artifact_fingerprint(facts, **known),
        **fields,
    )


def test_what_the_erasure_itself_changes_of_a_version_is_no_change() -> None:
    before = artifact_facts(("r1", "r2"), artifactMemberships=linked("p1", "p2"))
    planned = planned_artifact(before, users=["r1", "r2"], links=["p1", "p2"])

    moved_on = [{"alias": "best"}]  # `latest` is on another version now
    assert is_artifact_as_planned(planned, artifact_facts(("r2",), aliases=moved_on))
    assert not is_artifact_as_planned(planned, artifact_facts(("r1", "r3")))
    assert not is_artifact_as_planned(planned, artifact_facts(artifactMemberships=linked("p1", "p3")))


NUMBERED = [{"alias": "latest"}, {"alias": "best"}, {"alias": "v3"}, {"alias": "v0"}]


def test_the_numbers_that_a_server_lists_among_the_aliases_are_no_fact() -> None:
    facts = artifact_facts(aliases=NUMBERED)

    assert facts.version.given_aliases == ("best",)
    assert facts.version.alias_names == ("best", "latest")
    assert artifact_fingerprint(facts) == artifact_fingerprint(artifact_facts())


@pytest.mark.parametrize("now", [NUMBERED, VERSION["aliases"]], ids=["numbers listed", "numbers left out"])
def test_a_plan_that_counted_numbers_as_aliases_still_holds(now: list[Any]) -> None:
    old = planned_artifact(artifact_facts(), numbers=["v0", "v3"], aliases=["best", "latest", "v0", "v3"])
    another = [*now, {"alias": "prod"}]

    # The digest that a plan of the earlier form holds for this version.
    assert old.fingerprint == "sha256:1a83298d839b6056eed081e9326edc9a59ebd840f85b1e4fe3b8f293136e3952"
    assert is_artifact_as_planned(old, artifact_facts(aliases=now))
    assert not is_artifact_as_planned(old, artifact_facts(aliases=another))


def test_a_membership_that_is_not_visible_counts_as_a_link() -> None:
    edges = {"edges": [{"node": {"artifactCollection": None}}, {"node": None}]}

    assert artifact_facts(artifactMemberships=edges).version.links == ("",)


def test_reading_a_run_gives_what_it_logged_and_reading_again_the_same(world: World) -> None:
    path = world.run("facts")
    world.caller.log(world.project, "facts", {"loss": 1})
    first = world.log("net", {"a": b"1"}, runName="facts")

    facts = read_run_facts(world.client.session, path)

    assert facts is not None
    assert [output.id for output in facts.outputs] == [first]
    assert facts.outputs[0].maker == facts.run.id
    assert facts.run.history_line_count == 1
    planned = planned_run(facts)
    again = read_run_facts(world.client.session, path)
    assert again is not None
    assert is_run_as_planned(planned, again)


@pytest.mark.parametrize("change", ["tag", "history", "version", "file"])
def test_work_on_a_run_is_noticed(world: World, change: str) -> None:
    path = world.run("worked")
    world.caller.upsert(world.project, name="worked", state="finished")
    before = read_run_facts(world.client.session, path)
    assert before is not None

    match change:
        case "tag":
            world.caller.upsert(world.project, name="worked", tags=["keep"])
        case "history":
            world.caller.log(world.project, "worked", {"loss": 1})
        case "version":
            world.log("net", {"a": b"1"}, runName="worked")
        case "file":
            world.store("worked", {"a.txt": b"1"})
    after = read_run_facts(world.client.session, path)

    assert after is not None
    assert not is_run_as_planned(planned_run(before), after)


def test_use_of_a_version_by_another_run_is_noticed_and_by_a_planned_one_is_not(world: World) -> None:
    world.run("maker")
    version = world.log("net", {"a": b"1"}, runName="maker")
    before = read_artifact_facts(world.client.session, version)
    assert before is not None
    assert (before.users, before.hidden_users, before.version.links) == ((), 0, ())

    world.run("user")
    world.use(version, "user")
    after = read_artifact_facts(world.client.session, version)

    assert after is not None
    assert len(after.users) == 1
    assert not is_artifact_as_planned(planned_artifact(before), after)
    assert is_artifact_as_planned(planned_artifact(before, users=list(after.users)), after)


def test_what_is_not_there_is_none_and_a_project_that_is_not_visible_an_error(world: World) -> None:
    path = world.run("there")

    assert read_run_facts(world.client.session, RunPath("admin", world.project, "nowhere")) is None
    assert read_artifact_facts(world.client.session, "QXJ0aWZhY3Q6OTk5OTk=") is None
    with pytest.raises(NotVisible):
        read_run_facts(world.client.session, RunPath("admin", "no-such-project", path.run_id))
