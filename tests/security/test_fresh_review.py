"""What a fresh reviewer tried and could not do: ids of other kinds, odd documents, raw requests, late uploads."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import requests

import wbgql as wb
from tests.caller import UPSERT, Caller
from tests.server.artifact_logger import COMMIT, DELETE, GET, ArtifactLogger, entries
from wbgql.errors import NotApproved, WbgqlError
from wbgql.own_operations import check_allowed, read_own_operation
from wbgql.server import (
    RunningServer,
    add_org,
    add_team,
    add_user,
    audit_requests,
    purge,
    reset_keys,
    restrict_project,
    start,
)
from wbgql.server.lifecycle.retention import scan

PROJECT = "query P($e: String!, $n: String!) { project(entityName: $e, name: $n) { id } }"
DELETE_RUN = (
    "mutation D($id: ID!) { deleteRun(input: {id: $id, deleteArtifacts: true}) { clientMutationId } }"
)
DELETE_MODEL = "mutation D($id: String!) { deleteModel(input: {id: $id}) { success } }"
SECRET = b"PENDING-CONTENT-OF-A-DELETED-PROJECT"


class Tenants:
    """A team with an admin, two members and a viewer; `ann` made the project `p` and its run `r1`."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.callers: dict[str, Caller] = {}
        for name, role in (("boss", "admin"), ("ann", "member"), ("bob", "member"), ("vera", "viewer")):
            self.callers[name] = Caller(server.base_url, add_user(server.data, name))
            add_org(server.data, "org", name)
            add_team(server.data, "team", "org", name, role=role)
        self.boss, self.ann, self.bob, self.vera = self.callers.values()
        self.upsert(self.ann, "p", "r1")

    def upsert(self, caller: Caller, project: str, run: str, **fields: Any) -> requests.Response:
        given = {"entityName": "team", "modelName": project, "name": run, "jobProgram": "train.py"}
        return caller.post(UPSERT, input=given | fields)

    def run_id(self, project: str, run: str) -> str:
        found: str = self.boss.run(project, run, "team")["id"]
        return found


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    with start(tmp_path_factory.mktemp("review")) as server:
        yield Tenants(server)


def storage_id(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


IDS = {
    "Run": storage_id("Run:v1:r1:p:team"),
    "Project": storage_id("Project:v1:p:team"),
    "Artifact": storage_id("Artifact:1"),
    "ArtifactCollection": storage_id("ArtifactCollection:1"),
    "User": storage_id("User:1"),
    "File": storage_id("File:1"),
    "ApiKey": storage_id("ApiKey:1"),
    "negative": storage_id("Artifact:-1"),
    "huge": storage_id("Artifact:99999999999999999999"),
    "longer": storage_id("Artifact:1:2"),
    "digit of another script": storage_id("Artifact:\uff11"),
    "no run": storage_id("Run:v1::p:team"),
    "other case": storage_id("Run:v1:R1:P:TEAM"),
    "empty": "",
    "not ASCII": "é",
    "long": "a" * 5000,
}
TAKES = {
    "deleteRun": ("id", "clientMutationId", "Run"),
    "stopRun": ("id", "success", "Run"),
    "deleteModel": ("id", "success", "Project"),
    "deleteArtifact": ("artifactID", "artifact { id }", "Artifact"),
    "commitArtifact": ("artifactID", "artifact { id }", "Artifact"),
    "deleteArtifactSequence": ("artifactSequenceID", "artifactCollection { id }", "ArtifactCollection"),
    "deleteArtifactPortfolio": ("artifactPortfolioID", "artifactCollection { id }", "ArtifactCollection"),
    "deleteApiKey": ("id", "success", "ApiKey"),
}


@pytest.mark.parametrize("mutation", TAKES)
def test_an_id_of_another_kind_names_nothing(tenants: Tenants, mutation: str) -> None:
    version = ArtifactLogger(tenants.ann, "p", entity="team").log("kinds", {"w": b"1"}, runName="r1")
    argument, selection, own = TAKES[mutation]
    for kind, given in IDS.items():
        if kind == own:
            continue
        text = f"mutation {{ {mutation}(input: {{ {argument}: {json.dumps(given)} }}) {{ {selection} }} }}"
        answer = tenants.ann.post(text)
        assert answer.status_code in (400, 403, 404, 410), (kind, answer.text)
        assert "internal error" not in answer.text, kind

    run = tenants.ann.run("p", "r1", "team")
    assert run is not None
    assert not run["stopped"]
    assert tenants.ann.ask(GET, id=version)["artifact"]["state"] == "COMMITTED"


HIDDEN_IN_FRAGMENTS = """
query Q { viewer { id } }
mutation M($id: ID!) { ...F }
fragment F on Mutation { ...G }
fragment G on Mutation { stopRun: deleteRun(input: {id: $id}) { clientMutationId } }
"""


def test_a_deletion_behind_fragments_and_aliases_needs_its_right_and_is_noted(tenants: Tenants) -> None:
    tenants.upsert(tenants.ann, "p", "noted")
    before = len(audit_requests(tenants.server.data))

    def send(caller: Caller, operation: str) -> requests.Response:
        body = {
            "query": HIDDEN_IN_FRAGMENTS,
            "variables": {"id": tenants.run_id("p", "noted")},
            "operationName": operation,
        }
        return requests.post(
            f"{caller.base_url}/graphql", json=body, auth=("api", caller.api_key), timeout=30
        )

    assert send(tenants.ann, "").status_code == 400
    assert send(tenants.ann, "Q").json() == {"data": tenants.ann.ask("{ viewer { id } }")}
    assert send(tenants.bob, "M").status_code == 403
    assert tenants.ann.run("p", "noted", "team") is not None
    assert send(tenants.ann, "M").status_code == 200
    assert tenants.ann.run("p", "noted", "team") is None
    noted = [(one["mutation"], one["code"]) for one in audit_requests(tenants.server.data)[before:]]
    assert noted == [("deleteRun", 403), ("deleteRun", 200)]


def test_only_the_mutations_that_directives_leave_are_done(tenants: Tenants) -> None:
    for run in ("included", "skipped"):
        tenants.upsert(tenants.ann, "p", run)
    answer = tenants.ann.post(
        """
        mutation M($a: ID!, $b: ID!, $yes: Boolean!) {
          a: deleteRun(input: {id: $a}) @include(if: $yes) { clientMutationId }
          b: deleteRun(input: {id: $b}) @skip(if: $yes) { clientMutationId }
        }
        """,
        a=tenants.run_id("p", "included"),
        b=tenants.run_id("p", "skipped"),
        yes=True,
    )

    assert list(answer.json()["data"]) == ["a"]
    assert tenants.ann.run("p", "included", "team") is None
    assert tenants.ann.run("p", "skipped", "team") is not None


def test_a_member_who_was_not_invited_gets_in_by_no_mutation(tenants: Tenants) -> None:
    ann, bob = tenants.ann, tenants.bob
    tenants.upsert(ann, "secret", "s")
    hidden = ArtifactLogger(ann, "secret", entity="team").log("net", {"w": b"top secret"}, runName="s")
    project = ann.ask(PROJECT, e="team", n="secret")["project"]["id"]
    run = tenants.run_id("secret", "s")
    restrict_project(tenants.server.data, "team", "secret", ["ann"])
    tenants.upsert(bob, "mine", "m")
    logger = ArtifactLogger(bob, "mine", entity="team")
    own = logger.log("own", {"w": b"own"})
    theft = logger.create("theft", {"w": b"top secret"})
    logger.put_manifest(theft["id"], entries({"w": b"top secret"}, hidden))
    there = {"entityName": "team", "projectName": "secret", "artifactPortfolioName": "in"}
    here = {"entityName": "bob", "projectName": "b", "artifactPortfolioName": "out"}
    link = "mutation L($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }"
    move = "mutation M($input: MoveRunsInput!) { moveRuns(input: $input) { task { id } } }"
    model = "mutation M($input: UpsertModelInput!) { upsertModel(input: $input) { project { id } } }"
    use = "mutation U($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }"
    rename = "mutation R($input: RenameProjectInput!) { renameProject(input: $input) { inserted } }"
    moved = {"sourceEntityName": "team", "sourceProjectName": "mine", "filters": "{}"}
    tries = {
        "log there": tenants.upsert(bob, "secret", "new"),
        "change by id": tenants.upsert(bob, "p", "s", id=run, notes="x"),
        "move in": bob.post(
            move, input=moved | {"destinationEntityName": "team", "destinationProjectName": "secret"}
        ),
        "rename onto": bob.post(
            rename, input={"entityName": "team", "oldProjectName": "mine", "newProjectName": "secret"}
        ),
        "link in": bob.post(link, input={"artifactID": own, **there}),
        "link out": bob.post(link, input={"artifactID": hidden, **here}),
        "use": bob.post(
            use, input={"artifactID": hidden, "entityName": "team", "projectName": "mine", "runName": "m"}
        ),
        "open by id": bob.post(model, input={"id": project, "access": "USER_READ"}),
        "open by name": bob.post(
            model, input={"entityName": "team", "name": "secret", "access": "USER_READ"}
        ),
        "borrow content": bob.post(COMMIT, id=theft["id"]),
        "delete": bob.post(DELETE, id=hidden, aliases=True),
    }

    assert {name: one.status_code for name, one in tries.items() if one.status_code not in (400, 404)} == {}
    assert bob.ask(GET, id=hidden)["artifact"] is None
    assert bob.run("secret", "s", "team") is None
    assert ann.ask(GET, id=hidden)["artifact"]["state"] == "COMMITTED"


def test_an_upload_that_comes_after_the_deletion_leaves_nothing(tenants: Tenants) -> None:
    ann, files = tenants.ann, {"w": b"late"}
    make = "mutation F($i: CreateRunFilesInput!) { createRunFiles(input: $i) { files { uploadUrl } } }"
    for project in ("late", "gone"):
        tenants.upsert(ann, project, "r")
    given = {"entityName": "team", "projectName": "late", "runName": "r", "files": ["a"]}
    url = ann.ask(make, i=given)["createRunFiles"]["files"][0]["uploadUrl"]
    logger = ArtifactLogger(ann, "late", entity="team")
    version = logger.create("net", files, runName="r")
    (declared,) = logger.declare(version["id"], files)
    ann.ask(DELETE_RUN, id=tenants.run_id("late", "r"))

    assert requests.put(url, data=b"late", timeout=10).status_code == 410
    assert requests.put(declared["uploadUrl"], data=b"late", timeout=10).status_code == 410
    assert ann.post(COMMIT, id=version["id"]).status_code == 410

    logger = ArtifactLogger(ann, "gone", entity="team")
    pending = logger.create("net", {"w": SECRET})
    (declared,) = logger.declare(pending["id"], {"w": SECRET})
    ann.ask(DELETE_MODEL, id=ann.ask(PROJECT, e="team", n="gone")["project"]["id"])
    requests.put(declared["uploadUrl"], data=SECRET, timeout=10)
    purge(tenants.server.data, now=datetime.now(UTC) + timedelta(days=60))
    assert scan(tenants.server.data, [SECRET]) == []


RAW = {
    "POST /graphql": {
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n": 400,
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n": 400,
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde": 400,
        "Content-Length: -1\r\n\r\n": 400,
    },
    "GET /files/team/p/r1/..%2f..%2f..%2fsecrets.json": {"\r\n": 404},
    "GET /files/team/p/r1/%00": {"\r\n": 404},
    "GET /files/%ed%a0%80/p/r1/x": {"\r\n": 404},
    "GET /storage/../admin/audit_logs": {"\r\n": 403},
    "GET /graphql?query=%7Bviewer%7Bid%7D%7D": {"\r\n": 404},
    "TRACE /graphql": {"\r\n": 405},
    "DELETE /files/team/p/r1/x": {"\r\n": 405},
}


@pytest.mark.parametrize("start_line", RAW)
def test_a_raw_request_is_refused_once(tenants: Tenants, start_line: str) -> None:
    url = urlsplit(tenants.server.base_url)
    key = base64.b64encode(f"api:{tenants.ann.api_key}".encode()).decode()
    for rest, status in RAW[start_line].items():
        head = f"{start_line} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Basic {key}\r\n"
        with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
            connection.sendall((head + "Connection: close\r\n" + rest).encode())
            received = b""
            with suppress(ConnectionError):
                while part := connection.recv(65536):
                    received += part
        assert received.startswith(f"HTTP/1.1 {status} ".encode()), (rest, received[:200])
        assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-0",
        "bytes=-1",
        "bytes=5-1",
        "bytes=0-99999999999999999999",
        "bytes=a-b",
        "x=1",
        "bytes=" + ",".join(f"{number}-{number}" for number in range(0, 12_000, 2)),
        "bytes=" + ",".join(["0-"] * 9000),
    ],
    ids=lambda asked: asked[:20],
)
def test_a_range_gives_no_more_than_the_file(tenants: Tenants, asked: str) -> None:
    logger = ArtifactLogger(tenants.ann, "p", entity="team")
    version = logger.log("ranges", {"w": b"0" * 200_000}, runName="r1")
    document = "query F($id: ID!) { artifact(id: $id) { files { edges { node { directUrl } } } } }"
    (edge,) = tenants.ann.ask(document, id=version)["artifact"]["files"]["edges"]
    answer = requests.get(edge["node"]["directUrl"], headers={"Range": asked}, timeout=5)

    assert answer.status_code in (200, 206, 400, 416)
    assert len(answer.content) <= 200_000


def test_a_reset_of_keys_that_is_killed_leaves_a_store_that_opens(tmp_path: Path) -> None:
    data, victim = tmp_path / "store", tmp_path / "victim"
    victim.write_text("untouched")
    add_user(data, "ann")
    (data / "secrets.part").symlink_to(victim)
    code = f"from pathlib import Path; import wbgql.server as s; print(1, flush=True); s.reset_keys(Path({str(data)!r}))"
    for pause_s in (0.0, 0.02):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause_s)
            process.kill()
        add_user(data, "ann")

    assert reset_keys(data).recognizes_purged
    assert victim.read_text() == "untouched"


OWN = {
    "default of a variable": 'mutation M($c: JSONString = "{}") '
    '{ upsertBucket(input: {id: "x", config: $c}) { inserted } }',
    "default of the input": 'mutation M($i: UpsertBucketInput! = {id: "x", config: "{}"}) '
    "{ upsertBucket(input: $i) { inserted } }",
    "time to live by default": 'mutation M($d: Int64 = 1) { updateArtifact(input: {artifactID: "x", '
    "ttlDurationSeconds: $d}) { artifact { id } } }",
    "fragments in fragments": 'mutation M { ...F } fragment F on Mutation { stopRun(input: {id: "x"}) '
    '{ success } ...G } fragment G on Mutation { stop: deleteRun(input: {id: "x"}) { clientMutationId } }',
    "behind a directive": "mutation M($y: Boolean = false) { ... @include(if: $y) { ... on Mutation "
    '{ stopRun: deleteRun(input: {id: "x"}) { clientMutationId } } } }',
    "beside a query": 'query Q { viewer { id } } mutation M { deleteRun(input: {id: "x"}) '
    "{ clientMutationId } }",
}


@pytest.mark.parametrize("trick", OWN)
def test_an_own_operation_hides_no_deletion(tmp_path: Path, trick: str) -> None:
    file = tmp_path / "own.graphql"
    file.write_text(OWN[trick])

    with pytest.raises(NotApproved, match="can destroy data"):
        check_allowed(read_own_operation(file, "M"), {}, allow_mutation=True)


class Hostile(BaseHTTPRequestHandler):
    """Answers each request as its path says; notes who came with a key."""

    seen: ClassVar[list[tuple[str, str | None]]] = []
    bodies: ClassVar[dict[str, bytes]] = {
        "deep": b"[" * 200_000 + b"]" * 200_000,
        "unfinished": b'{"data":' * 100_000,
        "zeros": b"\0" * 1000,
        "nan": b'{"data":{"viewer":NaN}}',
        "twice": b'{"data":{"viewer":null},"data":{"viewer":{"id":5}}}',
        "surrogate": b'{"errors":[{"message":"\\ud800"}]}',
        "page": b"<html><script>",
    }

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        way = self.path.split("/")[1]
        self.seen.append((way, self.headers["Authorization"]))
        body, status = self.bodies.get(way, b"{}"), 200
        if way == "echo":
            body = json.dumps({"errors": [{"message": f"sent: {self.headers['Authorization']}"}]}).encode()
            status = 400
        if way.isdigit():
            status = int(way)
        self.send_response(status)
        port = self.connection.getsockname()[1]
        self.send_header("Location", f"http://localhost:{port}/followed/graphql")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("way", ["301", "302", "303", "307", "308", "401", "echo", *Hostile.bodies])
def test_no_answer_leads_the_client_away_or_breaks_it(hostile: str, way: str) -> None:
    key = secrets.token_hex(20)
    with (
        wb.Client(api_key=key, base_url=f"{hostile}/{way}", entity="e") as client,
        pytest.raises(WbgqlError) as caught,
    ):
        client.viewer()

    authorization = base64.b64encode(f"api:{key}".encode()).decode()
    assert (way, f"Basic {authorization}") in Hostile.seen
    assert not [one for one in Hostile.seen if one[0] == "followed"]
    assert authorization not in str(caught.value)
    assert key not in str(caught.value)
