"""Whatever way leads through the SDL, a caller reads only what they may see: five callers, two tenants."""

from __future__ import annotations

import itertools
import json
import random
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_required_argument,
)

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.resources import schema_file
from wbgql.server import RunningServer, add_org, add_team, add_user, restrict_project, start

TOKEN = re.compile(r"canary-[a-z-]+-[0-9a-f]{8}")
URL = re.compile(r'"(http://[^"]*/storage/[^"]+)"')
WALKS, STEPS, TOGETHER = 500, 8, 10

USE = """
mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } } }
"""
LINK = """
mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { artifactCollectionID } }
"""
REMOVE = """
mutation Remove($input: DeleteInviteInput!) { deleteInvite(input: $input) { success } }
"""


@dataclass
class Tenancy:
    """A server with two teams, and what stands where: each text that only one project holds, by project."""

    server: RunningServer
    admin: Caller
    callers: dict[str, Caller] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    linked: dict[str, str] = field(default_factory=dict)
    """Texts of versions that are linked elsewhere, and the project of the link."""
    ids: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)

    def token(self, path: str, kind: str) -> str:
        made = f"canary-{kind}-{secrets.token_hex(4)}"
        self.tokens.setdefault(path, set()).add(made)
        return made

    def project(self, entity: str, name: str) -> None:
        """Three runs; `data` and `net` logged by them, `net` made from `data`."""
        path = f"{entity}/{name}"
        for run in ("maker", "user", "other"):
            self.admin.upsert(
                name,
                entityName=entity,
                name=run,
                displayName=self.token(path, "run"),
                notes=self.token(path, "notes"),
                config={"secret": {"value": self.token(path, "config")}},
                summaryMetrics={"secret": self.token(path, "summary")},
                tags=[self.token(path, "tag")],
            )
        self.log(entity, name, "data", "maker")
        self.log(entity, name, "data", "maker")

    def log(self, entity: str, project: str, collection: str, run: str) -> str:
        path = f"{entity}/{project}"
        logger = ArtifactLogger(self.admin, project, entity=entity)
        files = {"secret.txt": self.token(path, "content").encode()}
        logged = logger.log(
            collection,
            files,
            runName=run,
            description=self.token(path, "description"),
            metadata=json.dumps({"secret": self.token(path, "metadata")}),
            aliases=[self.token(path, "alias")],
        )
        self.ids.append(logged)
        return logged

    def use(self, artifact: str, entity: str, project: str, run: str) -> None:
        given = {"artifactID": artifact, "entityName": entity, "projectName": project, "runName": run}
        self.admin.ask(USE, input=given)

    def visible(self, caller: Caller) -> set[str]:
        """Texts that a caller may read: of the projects they see, and of versions linked into these."""
        document = "query P($e: String!, $p: String!) { project(entityName: $e, name: $p) { id } }"
        seen = {
            path
            for path in self.tokens
            if caller.ask(document, e=path.split("/")[0], p=path.split("/")[1])["project"] is not None
        }
        texts = set().union(*(self.tokens[path] for path in seen))
        return texts | {text for text, path in self.linked.items() if path in seen}


@pytest.fixture(scope="module")
def tenancy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenancy]:
    with start(tmp_path_factory.mktemp("tenants")) as server:
        admin = Caller(server.base_url, server.api_key)
        world = Tenancy(server, admin)
        for name in ("ann", "vera", "bob", "stranger", "removed"):
            world.callers[name] = Caller(server.base_url, add_user(server.data, name))
        for name, team, role in (
            ("ann", "alpha", "member"),
            ("vera", "alpha", "viewer"),
            ("removed", "alpha", "member"),
            ("bob", "beta", "member"),
        ):
            add_org(server.data, f"{team}-org", name)
            add_team(server.data, team, f"{team}-org", name, role=role)
        for entity, name in (("alpha", "open"), ("alpha", "secret"), ("beta", "own")):
            world.project(entity, name)
        restrict_project(server.data, "alpha", "secret", ["ann"])
        hidden, own = world.log("alpha", "secret", "net", "maker"), world.log("beta", "own", "net", "maker")
        shared = world.log("alpha", "open", "net", "maker")
        for artifact in (hidden, own, shared):
            world.use(artifact, "alpha", "open", "user")
            world.use(artifact, "alpha", "secret", "user")
            world.use(artifact, "beta", "own", "user")
        for entity, name in (("alpha", "open"), ("alpha", "secret"), ("beta", "own")):
            world.log(entity, name, "derived", "user")
        world.log("alpha", "secret", "released", "other")
        linked = world.log("alpha", "secret", "released", "other")
        document = "query A($id: ID!) { artifact(id: $id) { description metadata } }"
        link = {
            "artifactID": linked,
            "entityName": "alpha",
            "projectName": "open",
            "artifactPortfolioName": "models",
            "aliases": [],
        }
        admin.ask(LINK, input=link)
        content = requests.get(_first_url(admin, linked), timeout=10).text
        for text in (*TOKEN.findall(str(admin.ask(document, id=linked))), content):
            world.linked[text] = "alpha/open"
        document = "query C($id: ID!) { artifact(id: $id) { artifactSequence { id } } }"
        world.collections = [
            admin.ask(document, id=one)["artifact"]["artifactSequence"]["id"] for one in world.ids
        ]
        yield world


def _first_url(caller: Caller, artifact: str) -> str:
    document = "query F($id: ID!) { artifact(id: $id) { files { edges { node { directUrl } } } } }"
    edges = caller.ask(document, id=artifact)["artifact"]["files"]["edges"]
    url: str = edges[0]["node"]["directUrl"]
    return url


class Walker:
    """Draws ways through the SDL: from a root over fields that lead to objects, all leaves on the way."""

    def __init__(self, world: Tenancy, seed: int) -> None:
        self.schema: GraphQLSchema = build_schema(schema_file().read_text(encoding="utf-8"))
        self.draw = random.Random(seed)
        projects = [path.split("/") for path in world.tokens]
        self.roots = [
            *(f'project(entityName: "{entity}", name: "{name}")' for entity, name in projects),
            *(f'artifact(id: "{one}")' for one in world.ids),
            *(f'artifactCollection(id: "{one}")' for one in world.collections),
            *(f'entity(name: "{name}")' for name in ("alpha", "beta", "alpha-org_registries")),
            *(f'models(entityName: "{name}", first: 50)' for name in ("alpha", "beta")),
            *(f'organization(name: "{name}-org")' for name in ("alpha", "beta")),
            "viewer",
        ]
        self.draw.shuffle(self.roots)
        self.turn = itertools.cycle(self.roots)
        self.visits: Counter[tuple[str, str]] = Counter()

    def way(self) -> str:
        root = next(self.turn)
        query = self.schema.query_type
        assert query is not None
        kind = get_named_type(query.fields[root.split("(")[0]].type)
        return f"{root} {self._below(kind, STEPS)}"

    def _below(self, kind: Any, steps: int) -> str:
        if is_abstract_type(kind):
            kind = self.draw.choice(self.schema.get_possible_types(kind))
            return f"{{ __typename ... on {kind.name} {self._below(kind, steps)} }}"
        assert isinstance(kind, GraphQLObjectType)
        leaves, onward = [], []
        for name, one in kind.fields.items():
            arguments = self._arguments(name, one)
            if arguments is None:
                continue
            target = get_named_type(one.type)
            (leaves if is_leaf_type(target) else onward).append((f"{name}{arguments}", target))
        parts = ["__typename", *(text for text, _ in leaves)]
        if kind.name.endswith("Connection"):
            onward = [one for one in onward if one[0] == "edges"]
        elif kind.name.endswith("Edge"):
            onward = [one for one in onward if one[0] == "node"]
        if steps and onward:
            # Where it was least often before, so that every field is come by in many ways.
            text, target = min(
                onward, key=lambda one: (self.visits[kind.name, one[0].split("(")[0]], self.draw.random())
            )
            self.visits[kind.name, text.split("(")[0]] += 1
            parts.append(f"{text} {self._below(target, steps - 1)}")
        return f"{{ {' '.join(parts)} }}"

    def _arguments(self, name: str, one: GraphQLField) -> str | None:
        """Arguments that ask for something; None if one is required that nothing is known for."""
        values = {
            "name": ["maker", "user", "open", "secret", "data", "net", "net:v0", "dataset", "derived"],
            "aliasName": ["latest", "v0"],
            "first": [50],
            "entityName": ["alpha", "beta"],
            "liveKeys": [["_step"]],
        }
        given = []
        for argument, definition in one.args.items():
            if is_required_argument(definition) and argument not in values:
                return None
            if argument in values and (is_required_argument(definition) or argument == "first"):
                value = self.draw.choice(values[argument])
                given.append(f"{argument}: {value!r}".replace("'", '"'))
        return f"({', '.join(given)})" if given else ""


@pytest.mark.parametrize("name", ["ann", "vera", "bob", "stranger", "removed"])
def test_no_way_through_the_sdl_leads_to_what_a_caller_may_not_see(tenancy: Tenancy, name: str) -> None:
    caller, walker = tenancy.callers[name], Walker(tenancy, seed=4711)
    if name == "removed":
        user = caller.ask("{ viewer { id } }")["viewer"]["id"]
        assert tenancy.admin.ask(REMOVE, input={"entityName": "alpha", "id": user})["deleteInvite"]["success"]
    allowed = tenancy.visible(caller)
    secret = set().union(*tenancy.tokens.values()) - allowed
    urls: set[str] = set()
    told: set[str] = set()
    for _ in range(WALKS // TOGETHER):
        ways = [walker.way() for _ in range(TOGETHER)]
        document = "{ " + " ".join(f"w{number}: {way}" for number, way in enumerate(ways)) + " }"
        answer = caller.post(document)
        assert "internal error" not in answer.text, document
        assert "validation" not in answer.text, answer.text
        told |= set(TOKEN.findall(answer.text))
        assert not told & secret, f"{sorted(told & secret)} by one of\n" + "\n".join(ways)
        urls |= set(URL.findall(answer.text))
    for url in sorted(urls)[:40]:
        told |= set(TOKEN.findall(requests.get(url, timeout=10).text))

    assert not told & secret
    if name in ("ann", "vera", "bob"):
        assert told & allowed, "the ways lead to nothing, so they show nothing"


def test_the_neighbours_of_a_version_are_those_the_caller_may_see(tenancy: Tenancy) -> None:
    document = """
    query Run($project: String!) {
      project(entityName: "alpha", name: $project) {
        run(name: "user") {
          inputArtifacts { totalCount edges { node { id artifactSequence { project { name } } } } }
        }
      }
    }
    """
    seen = {}
    for name in ("ann", "vera"):
        run = tenancy.callers[name].ask(document, project="open")["project"]["run"]
        edges = run["inputArtifacts"]["edges"]
        seen[name] = [
            sorted(edge["node"]["artifactSequence"]["project"]["name"] for edge in edges),
            run["inputArtifacts"]["totalCount"],
        ]

    assert seen == {"ann": [["open", "secret"], 2], "vera": [["open"], 1]}


def test_a_linked_version_tells_the_name_of_its_hidden_source_and_no_more(tenancy: Tenancy) -> None:
    document = """
    { project(entityName: "alpha", name: "open") { artifactCollection(name: "models") { artifacts { edges { node {
      description
      artifactSequence { name project { name } description aliases { edges { node { alias } } }
        artifacts { edges { node { id } } } }
    } } } } } }
    """
    found = tenancy.callers["vera"].ask(document)["project"]["artifactCollection"]["artifacts"]["edges"]

    assert found[0]["node"]["description"] in tenancy.linked
    assert found[0]["node"]["artifactSequence"] == {
        "name": "released",
        "project": None,
        "description": None,
        "aliases": {"edges": []},
        "artifacts": {"edges": []},
    }
