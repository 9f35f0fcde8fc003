"""Whatever a request that the schema takes asks for, the answer is no internal error: drawn from the SDL itself."""

from __future__ import annotations

import random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
)

from tests.caller import Caller
from tests.server.artifact_logger import ArtifactLogger
from wbgql.resources import schema_file
from wbgql.server import RunningServer

SCHEMA = build_schema(schema_file().read_text(encoding="utf-8"))
LOOKED_AT = ("Query", "Project", "Run", "Artifact", "Entity", "User")
WORDS = (
    *(
        "",
        "zzz",
        "a\0b",
        "admin",
        "any",
        "r",
        "é" * 300,
        "../../x",
        "%",
        "\u202e",
        "x" * 5000,
        "latest",
        "v0",
    ),
    *("net", "net:v0", "net:latest", "v99999999999999999999", "::::", "2026-01-01T00:00:00", "9999-99-99"),
    *("{", "[]", "5", "null", '{"a": 1}', '{"$and": 5}', '{"config.x.value": {"$gt": []}}', "+created_at"),
    *("-config.x.value", "UnVuOnYxOnI6YW55OmFkbWlu", "QXJ0aWZhY3Q6MQ==", "UnVuOnYxOjo6", "VXNlcjox"),
    *("QXBpS2V5Ojk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "YXJyYXljb25uZWN0aW9uOi01", "COMMITTED", "image-file"),
)
NUMBERS = {"Int": (0, 1, -1, 2**31 - 1, -(2**31)), "Float": (0.0, 1.5, -1.0, 1e308)}
NUMBERS |= dict.fromkeys(("Int64", "Duration"), (0, 1, -1, 2**63 - 1, -(2**63)))


class Drawing:
    """One document with its variables, drawn by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.variables: dict[str, Any] = {}
        self.kinds: list[str] = []

    def value(self, kind: Any) -> Any:
        if not isinstance(kind, GraphQLNonNull):
            return None if self.chance.random() < 0.15 else self.value(GraphQLNonNull(kind))
        kind = kind.of_type
        if isinstance(kind, GraphQLList):
            return [self.value(kind.of_type) for _ in range(self.chance.randint(0, 2))]
        if isinstance(kind, GraphQLInputObjectType):
            given = {name: self.value(field.type) for name, field in kind.fields.items()}
            return {name: value for name, value in given.items() if value is not None}
        if isinstance(kind, GraphQLEnumType):
            return self.chance.choice(list(kind.values))
        if kind.name == "Boolean":
            return self.chance.random() < 0.5
        return self.chance.choice(NUMBERS.get(kind.name, WORDS))

    def call(self, name: str, field: Any, depth: int) -> str:
        """A field with arguments and all below it, under a name of its own."""
        arguments = []
        for argument, given in field.args.items():
            if isinstance(given.type, GraphQLNonNull) or self.chance.random() < 0.4:
                variable = f"v{len(self.variables)}"
                self.variables[variable] = self.value(given.type)
                self.kinds.append(f"${variable}: {given.type}")
                arguments.append(f"{argument}: ${variable}")
        below = self.selection(get_named_type(field.type), depth)
        given_arguments = f"({', '.join(arguments)})" if arguments else ""
        return f"f{self.chance.getrandbits(40)}: {name}{given_arguments}{below}"

    def selection(self, kind: Any, depth: int) -> str:
        if is_leaf_type(kind):
            return ""
        if not isinstance(kind, GraphQLObjectType):
            return " { __typename }"
        wanted = [
            self.call(name, field, depth - 1)
            for name, field in kind.fields.items()
            if self.chance.random() < (0.6 if is_leaf_type(get_named_type(field.type)) else 0.3 * (depth > 0))
        ]
        return " { __typename " + " ".join(wanted) + " }"


@pytest.fixture(scope="module")
def server(local_server: RunningServer) -> RunningServer:
    caller = Caller(local_server.base_url, local_server.api_key)
    caller.upsert("any", name="r", config={"x": {"value": 1}})
    caller.log("any", "r", {"_step": 0, "x": 1.0})
    ArtifactLogger(caller, "any").log("net", {"a.txt": b"x"}, runName="r")
    return local_server


def ask(caller: Caller, drawing: Drawing, kind: str, selection: str) -> int:
    """The status of the answer, which must be one that a caller can do something with."""
    head = f"{kind} Drawn({', '.join(drawing.kinds)})" if drawing.kinds else f"{kind} Drawn"
    answer = caller.post(f"{head}{selection}", **drawing.variables)
    told = f"{head}{selection} {drawing.variables}"
    assert answer.status_code in (200, 400, 403, 404, 409, 410, 501), told
    assert "internal error" not in answer.text, told
    return answer.status_code


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_question_is_answered_or_refused(server: RunningServer, seed: int) -> None:
    caller, chance = Caller(server.base_url, server.api_key), random.Random(seed)
    statuses = set()
    for name in LOOKED_AT * 5:
        drawing = Drawing(chance)
        inner = drawing.selection(SCHEMA.type_map[name], 2)
        around = {
            "Project": '{ project(entityName: "admin", name: "any") %s }',
            "Run": '{ project(entityName: "admin", name: "any") { run(name: "r") %s } }',
            "Artifact": '{ project(entityName: "admin", name: "any") { artifact(name: "net:v0") %s } }',
            "Entity": '{ entity(name: "admin") %s }',
            "User": "{ viewer %s }",
        }
        statuses.add(ask(caller, drawing, "query", around.get(name, "%s") % inner))
    assert 200 in statuses


@pytest.mark.parametrize("seed", SEEDS)
def test_any_mutation_is_done_or_refused(wandb_server: RunningServer, seed: int) -> None:
    caller, chance = Caller(wandb_server.base_url, wandb_server.api_key), random.Random(seed)
    caller.upsert("any", name="r")
    mutations = SCHEMA.mutation_type
    assert mutations is not None
    statuses = set()
    for name, field in mutations.fields.items():
        for _ in range(2):
            drawing = Drawing(chance)
            statuses.add(ask(caller, drawing, "mutation", " { " + drawing.call(name, field, 1) + " }"))
    assert {200, 404, 501} <= statuses
