"""What a plan decides over artifact versions, and about forks, against the local server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.bulk import FIRST_INSTANT, BulkRun, load_runs
from tests.erasure.planner import artifact_of, plan_runs, run_of
from tests.fakes import Rewrite, RewritingTransport
from tests.stored import World
from wbgql.client import Client
from wbgql.erasure.evidence.certificate import name_plan
from wbgql.erasure.planning.decisions import Policy
from wbgql.erasure.planning.surroundings import read_surroundings
from wbgql.erasure.reading.facts import read_artifact_facts
from wbgql.erasure.reading.fingerprints import is_artifact_as_planned
from wbgql.erasure.records.canonical import encode
from wbgql.erasure.records.plan import Plan, parse_plan
from wbgql.errors import ErrorsWarning
from wbgql.paths import parse_project_path
from wbgql.progress import NoProgress
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer, start
from wbgql.wire.session import Session
from wbgql.wire.transport import GqlTransport, Reply

LINK = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { artifactCollectionID } }"
MANY = 30


@pytest.fixture
def register(tmp_path: Path) -> Path:
    return tmp_path / "holds.json"


@pytest.fixture
def stage(world: World) -> World:
    """Runs `gone1` and `gone2`, which match, and `stays`, which does not."""
    for name in ("gone1", "gone2", "stays"):
        world.run(name)
        tags = ["x"] if name.startswith("gone") else []
        world.caller.upsert(world.project, name=name, tags=tags, state="finished")
    return world


def test_a_server_that_names_the_original_of_a_rewound_run_has_it_named_in_the_plan(
    stage: World, register: Path
) -> None:
    fork(stage, "rewound", "rewound", tags=["x"])

    def name_it(_name: str, data: Any) -> Any:
        for edge in ((data.get("project") or {}).get("runs") or {}).get("edges", ()):
            if edge["node"].get("name") == "rewound" and "branchPoint" in edge["node"]:
                edge["node"]["branchPoint"] = {"run": {"name": "rewound-before"}}
        return data

    made = plan(stage, register, client=rewritten(stage, name_it))

    assert run_of(made, "rewound").risks == ["rewound"]
    (line,) = [line for line in made.stays if "rewind" in line]
    path = stage.path
    assert line.startswith(f"what {path}/rewound lost by a rewind: it is in {path}/rewound-before; plan that")


def test_a_server_that_fails_on_what_only_informs_does_not_keep_a_plan_from_being_made(
    stage: World, register: Path
) -> None:
    def fail(name: str, data: Any) -> Any:
        nodes = [edge["node"] for edge in ((data.get("project") or {}).get("runs") or {}).get("edges", ())]
        if name != "ListSurroundings" or "branchPoint" not in nodes[0]:
            return data
        path = ["project", "runs", "edges", 0, "node", "branchPoint", "run"]
        errors = [{"message": "driver: bad connection", "path": path}]
        return Reply(status=200, data=msgspec.Raw(json.dumps(data).encode()), errors=errors)

    with pytest.warns(ErrorsWarning, match=r"the server fails on Run\.branchPoint, which is left out"):
        made = plan(stage, register, client=rewritten(stage, fail))

    assert {run.id for run in made.runs} >= {"gone1", "gone2"}


def rewritten(world: World, rewrite: Rewrite) -> Client:
    settings = world.client.settings
    return Client(settings=settings, session=Session(RewritingTransport(GqlTransport(settings), rewrite)))


def hiding(world: World, *ids: str, in_runs: Sequence[str]) -> Client:
    """A client whose key may not see some versions among the outputs of some runs: they come as null."""

    def hide(_name: str, data: Any) -> Any:
        project = data.get("project") or {}
        runs = [edge["node"] for edge in (project.get("runs") or {}).get("edges", ())]
        for run in [*runs, *filter(None, [project.get("run")])]:
            if run.get("name") in in_runs and run.get("outputs"):
                for edge in run["outputs"]["edges"]:
                    edge["node"] = None if edge["node"]["id"] in ids else edge["node"]
        return data

    return rewritten(world, hide)


def plan(world: World, register: Path, client: Client | None = None, **asked: object) -> Plan:
    return plan_runs(client or world.client, world.path, register=register, where='"x" in tags', **asked)


def link(world: World, version: str, *aliases: str) -> str:
    """Link a version into the portfolio `shelf`; return the portfolio's id."""
    target = {"artifactPortfolioName": "shelf", "entityName": "admin", "projectName": world.project}
    given = [{"artifactCollectionName": "shelf", "alias": alias} for alias in aliases]
    wanted = target | {"artifactID": version, "aliases": given}
    portfolio: str = world.caller.ask(LINK, input=wanted)["linkArtifact"]["artifactCollectionID"]
    return portfolio


def test_a_version_that_a_planned_run_alone_logged_goes(stage: World, register: Path) -> None:
    version = stage.log("net", {"w": b"123"}, runName="gone1", artifactTypeName="model")

    made = plan(stage, register)

    found = artifact_of(made, version)
    assert found in run_of(made, "gone1").artifacts
    assert (found.decision, found.reason, found.position) == ("erase", "exclusive", 1)
    assert (found.name, found.type, found.size_bytes, found.aliases) == ("net:v0", "model", 3, ["latest"])
    assert (made.totals.artifacts_erased, made.totals.artifacts_kept, made.totals.artifact_bytes) == (1, 0, 3)
    facts = read_artifact_facts(stage.client.session, version)
    assert facts is not None
    assert is_artifact_as_planned(found, facts)


def test_a_version_that_another_run_uses_stays_and_one_that_a_planned_run_uses_waits_for_it(
    stage: World, register: Path
) -> None:
    shared = stage.log("shared", {"w": b"1"}, runName="gone1")
    own = stage.log("own", {"w": b"2"}, runName="gone1")
    derived = stage.log("derived", {"w": b"3"}, runName="gone2")
    stage.use(shared, "stays")
    stage.use(own, "gone2")

    made = plan(stage, register)

    kept, goes, last = (artifact_of(made, one) for one in (shared, own, derived))
    assert (kept.decision, kept.reason, kept.position, kept.fingerprint) == ("keep", "used_elsewhere", 0, "")
    assert goes.decision == "erase"
    assert goes.with_runs == [1]
    assert goes.users == [run_of(made, "gone2").storage_id]
    assert goes.position > last.position > 0  # what was made with it goes first
    facts = read_artifact_facts(stage.client.session, own)
    assert facts is not None
    assert is_artifact_as_planned(goes, facts)
    assert "1 artifact version: runs that stay use them" in made.stays


def test_many_users_are_read_to_the_last(stage: World, register: Path) -> None:
    for number in range(MANY):
        stage.run(f"user{number}")
        stage.caller.upsert(stage.project, name=f"user{number}", tags=["x"], state="finished")
    all_planned = stage.log("used", {"w": b"1"}, runName="gone1")
    for number in range(MANY):
        stage.use(all_planned, f"user{number}")

    assert len(artifact_of(plan(stage, register), all_planned).users) == MANY

    stage.use(all_planned, "stays")
    assert artifact_of(plan(stage, register), all_planned).reason == "used_elsewhere"


@pytest.mark.parametrize("first", ["gone1", "stays"])
def test_a_version_that_a_run_that_stays_logged_too_stays(stage: World, register: Path, first: str) -> None:
    version = stage.log("net", {"w": b"1"}, runName=first)
    again = stage.log("net", {"w": b"1"}, runName="stays" if first == "gone1" else "gone1")
    assert again == version

    found = artifact_of(plan(stage, register), version)

    assert (found.decision, found.reason) == ("keep", "logged_elsewhere")


def test_a_version_that_two_planned_runs_logged_goes_once_with_its_maker(
    stage: World, register: Path
) -> None:
    version = stage.log("net", {"w": b"1"}, runName="gone2")
    assert stage.log("net", {"w": b"1"}, runName="gone1") == version

    made = plan(stage, register)

    found = artifact_of(made, version)
    assert found in run_of(made, "gone2").artifacts
    assert (found.decision, found.with_runs) == ("erase", [0])


def test_a_version_whose_maker_is_gone_goes_unless_there_are_holds(stage: World, register: Path) -> None:
    stage.run("maker")
    version = stage.log("net", {"w": b"1"}, runName="maker")
    assert stage.log("net", {"w": b"1"}, runName="gone1") == version
    stage.delete_run("maker")

    assert artifact_of(plan(stage, register), version).decision == "erase"

    now = datetime.now(UTC)
    HoldRegister(register).add("tag", "anything", reason="CASE", added_by="ada", now=now)
    found = artifact_of(plan(stage, register), version)
    assert (found.decision, found.reason) == ("keep", "not_decidable")


def test_a_linked_version_stays_unless_links_are_taken_off(stage: World, register: Path) -> None:
    version = stage.log("net", {"w": b"1"}, runName="gone1")
    portfolio = link(stage, version, "prod")

    kept = artifact_of(plan(stage, register), version)
    goes = artifact_of(plan(stage, register, policy=Policy(unlink=True)), version)

    assert (kept.decision, kept.reason) == ("keep", "linked")
    assert (goes.decision, goes.reason, goes.links) == ("unlink", "linked", [portfolio])
    assert goes.position == 1
    facts = read_artifact_facts(stage.client.session, version)
    assert facts is not None
    assert facts.version.links == (portfolio,)


def test_a_version_with_an_alias_of_somebodys_stays_unless_aliases_do_not_count(
    stage: World, register: Path
) -> None:
    version = stage.log("net", {"w": b"1"}, runName="gone1", aliases=["best"])

    kept = artifact_of(plan(stage, register), version)
    goes = artifact_of(plan(stage, register, policy=Policy(aliased="erase")), version)

    assert (kept.decision, kept.reason, kept.aliases) == ("keep", "aliased", ["best", "latest"])
    assert (goes.decision, goes.reason) == ("erase", "aliased")


def test_the_servers_own_versions_stay_and_are_told(stage: World, register: Path) -> None:
    stage.caller.log(stage.project, "gone1", {"_step": 0, "loss": 1})
    assert stage.caller.stream(stage.project, "gone1", complete=True, exitcode=0).status_code == 200

    made = plan(stage, register)

    (history,) = run_of(made, "gone1").artifacts
    assert history.type == "wandb-history"
    assert (history.decision, history.reason) == ("keep", "system")
    assert any("the server's own" in line for line in made.stays)


def test_more_versions_and_files_than_a_page_holds(stage: World, register: Path) -> None:
    versions = [stage.log("net", {"w": b"%d" % number}, runName="gone1") for number in range(MANY)]
    files = {f"f{number}": b"1" for number in range(MANY)}
    big = stage.log("big", files, runName="gone1")

    made = plan(stage, register)

    assert {one.id for one in run_of(made, "gone1").artifacts} == {*versions, big}
    assert sorted(one.position for one in run_of(made, "gone1").artifacts) == list(range(1, MANY + 2))
    assert artifact_of(made, big).references == 0


def fork(world: World, name: str, source: str, **fields: object) -> None:
    config = {"_wandb": {"value": {"branch_point": {"run_id": source, "step": 1}}}}
    if source != name:
        world.caller.log(world.project, source, {"_step": 0}, {"_step": 1})
        world.caller.upsert(world.project, name=source, jobProgram=None, state="finished")
    world.caller.upsert(world.project, name=name, config=config, state="finished", **fields)


def test_forks_that_stay_are_listed_and_forks_of_forks_too(stage: World, register: Path) -> None:
    fork(stage, "child", "gone1")
    fork(stage, "grandchild", "child")
    fork(stage, "planned-child", "gone2", tags=["x"])
    fork(stage, "of-another", "stays", tags=["x"])
    fork(stage, "rewound", "rewound", tags=["x"])

    made = plan(stage, register)

    assert run_of(made, "gone1").forks == [f"{stage.path}/child", f"{stage.path}/grandchild"]
    assert run_of(made, "gone1").risks == ["forked"]
    assert (run_of(made, "gone2").forks, run_of(made, "planned-child").risks) == ([], [])
    assert run_of(made, "of-another").risks == ["fork"]
    assert run_of(made, "rewound").risks == ["rewound"]
    assert any(line.startswith("2 runs forked from runs that go") for line in made.stays)
    assert any(line.startswith("the beginning of 1 run") for line in made.stays)


PROTECT = "mutation P($input: AddProtectedAliasesInput!) { addProtectedAliases(input: $input) { aliases } }"


def test_a_version_with_a_protected_alias_is_left_to_an_admin_whatever_was_chosen(
    stage: World, register: Path
) -> None:
    alias = f"audited-{stage.project}"  # other tests share the entity
    stage.caller.ask(PROTECT, input={"entityName": "admin", "aliases": [alias], "adminType": "MODEL"})
    linked = stage.log("net", {"w": b"1"}, runName="gone1")
    link(stage, linked, alias)
    own = stage.log("own", {"w": b"2"}, runName="gone1", aliases=[alias])

    made = plan(stage, register, policy=Policy(unlink=True, aliased="erase"))

    for version in (linked, own):
        found = artifact_of(made, version)
        assert (found.decision, found.reason, found.position) == ("manual", "protected", 0)
    assert any(line.startswith("2 artifact versions: they carry a protected alias") for line in made.stays)


def test_references_are_counted_and_told(stage: World, register: Path) -> None:
    files = {f"f{number:02}": b"1" for number in range(MANY)}
    made = stage.logger.create("refs", files, runName="gone1")
    entries = {name: {"ref": f"s3://elsewhere/{name}", "digest": name, "size": 1} for name in files}
    assert stage.logger.put_manifest(made["id"], entries).status_code == 200
    stage.logger.commit(made["id"])

    planned = plan(stage, register)

    assert artifact_of(planned, made["id"]).references == MANY
    assert any(
        line.startswith(f"{MANY} files that artifact versions only refer to") for line in planned.stays
    )


def test_a_server_that_does_not_mark_references_keeps_nothing_from_being_planned(
    tmp_path: Path, register: Path
) -> None:
    with start(tmp_path / "store", without=("File.isReference",)) as server:
        world = World(server)
        for name, tags in (("gone1", ["x"]), ("stays", [])):
            world.run(name)
            world.caller.upsert(world.project, name=name, tags=tags, state="finished")
        made = world.logger.create("refs", {"a": b"1"}, runName="gone1")
        world.logger.put_manifest(made["id"], {"a": {"ref": "s3://elsewhere/a", "digest": "a", "size": 1}})
        world.logger.commit(made["id"])

        planned = plan(world, register)

    assert artifact_of(planned, made["id"]).decision == "erase"
    assert artifact_of(planned, made["id"]).references is None
    assert any("the server does not say which lie outside it" in line for line in planned.stays)
    assert name_plan(planned).references is None
    assert parse_plan(encode(planned)) == planned


def test_looking_around_gets_past_more_runs_of_one_instant_than_a_page_holds(
    local_server: RunningServer, world: World
) -> None:
    def make(number: int) -> BulkRun:
        config = {"_wandb": {"branch_point": {"run_id": "source", "step": 1}}}
        return BulkRun(
            name=f"r{number:04}",
            created_at=FIRST_INSTANT + timedelta(seconds=0 if number < 1100 else number),
            config=config if number % 100 == 99 else {},
        )

    load_runs(local_server.data, world.project, 1200, make=make)

    found = read_surroundings(
        world.client.session, parse_project_path(world.path), {"source"}, set(), NoProgress()
    )

    assert found.forks["source"] == [f"{world.path}/r{number:04}" for number in range(99, 1200, 100)]


def test_versions_that_come_as_null_are_named_as_not_decidable(stage: World, register: Path) -> None:
    ids = [stage.log(name, {"w": b"1"}, runName="gone1") for name in ("net", "ds")]

    with hiding(stage, *ids, in_runs=["gone1"]) as client:
        made = plan_runs(client, stage.path, register=register, where='"x" in tags')

    assert run_of(made, "gone1").artifacts == []
    (missing,) = made.not_read
    assert missing.path == f"{stage.path}/gone1"
    assert missing.reason == "not decidable: this key cannot see 2 artifact versions that it logged"


def test_a_version_is_not_decidable_where_a_run_that_stays_logged_what_is_hidden(
    stage: World, register: Path
) -> None:
    version = stage.log("net", {"w": b"1"}, runName="gone1")
    hidden = stage.log("ds", {"w": b"2"}, runName="stays")

    with hiding(stage, hidden, in_runs=["stays"]) as client:
        made = plan_runs(client, stage.path, register=register, where='"x" in tags')

    found = artifact_of(made, version)
    assert (found.decision, found.reason) == ("keep", "not_decidable")
    assert made.not_read == []
