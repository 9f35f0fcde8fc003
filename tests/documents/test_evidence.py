"""Every coordinate that a document uses was seen in public, and what cannot be left out was seen lately."""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import msgspec
import pytest
from graphql import parse

from tests.coordinates import refusal
from tests.documents.test_documents import documents
from tests.sdk_documents import collect, package_dir
from wbgql.documents import Documents, load_documents
from wbgql.documents.coordinates import coordinates_of
from wbgql.resources import schema_file

FILE = schema_file().with_name("evidence.toml")
YEARS = 3


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    year: int
    what: str
    where: str


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is needed without a source of late: why all the same, and what happens without it."""

    coordinates: list[str]
    why: str
    without: str


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read_on: date
    sources: dict[str, Source]
    coordinates: dict[str, list[str]]
    accepted: list[Accepted] = []

    def newest(self, coordinate: str) -> int:
        """The year of the newest source; 0 without any."""
        return max((self.sources[name].year for name in self.coordinates.get(coordinate, ())), default=0)


def used(files: Documents) -> dict[str, bool]:
    """The coordinates that documents use, and whether an operation does not work without."""
    found: dict[str, bool] = {}
    for name in files.names:
        prepared = files.get(name)
        coordinates = coordinates_of(parse(prepared.text), files.schema)
        lacks = prepared.variants.lacks(map(refusal, coordinates)) if prepared.variants else None
        optional = lacks.optional if lacks else frozenset()
        for coordinate in coordinates:
            found[coordinate] = found.get(coordinate, False) or coordinate not in optional
    return found


def faults(evidence: Evidence, needed: dict[str, bool]) -> list[str]:
    """What is wrong with the evidence for the coordinates that are used."""
    accepted = [name for each in evidence.accepted for name in each.coordinates]
    found = [
        f"{name}: used, but not in evidence.toml" for name in needed.keys() - evidence.coordinates.keys()
    ]
    found += [f"{name}: in evidence.toml, but used no more" for name in evidence.coordinates.keys() - needed]
    for name, is_needed in needed.items():
        old = evidence.newest(name) <= evidence.read_on.year - YEARS
        if is_needed and old and name not in accepted:
            found.append(f"{name}: needed, but not seen since {evidence.newest(name) or 'ever'}")
        if name in accepted and not (is_needed and old):
            found.append(f"{name}: accepted without need")
    return sorted(found + [f"{name}: accepted, but not used" for name in accepted if name not in needed])


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return msgspec.toml.decode(FILE.read_bytes(), type=Evidence)


def test_what_the_documents_use_was_seen_and_what_they_need_was_seen_lately(evidence: Evidence) -> None:
    assert faults(evidence, used(load_documents())) == []


def test_the_sources_are_named_and_dated(evidence: Evidence) -> None:
    named = {name for sources in evidence.coordinates.values() for name in sources}

    assert named == evidence.sources.keys()
    for name, source in evidence.sources.items():
        assert 2018 <= source.year <= evidence.read_on.year, name
        assert source.what, name
        assert source.where.startswith("https://") or (schema_file().parents[1] / source.where).is_file(), (
            name
        )
    assert all(evidence.coordinates.values())
    assert all(each.why and each.without for each in evidence.accepted)
    assert list(evidence.coordinates) == sorted(evidence.coordinates)


def test_the_installed_sdk_sends_what_it_is_said_to_send(evidence: Evidence) -> None:
    name = f"sdk-{importlib.metadata.version('wandb')}"
    assert name in evidence.sources, "a new SDK: read it, and name it as the newest source of what it sends"
    schema = load_documents().schema
    sent = set(_input_fields(package_dir()))
    for document in collect()[0]:
        sent |= coordinates_of(parse(document.text), schema)

    claimed = {coordinate for coordinate, sources in evidence.coordinates.items() if name in sources}

    assert claimed - sent == set()
    assert (evidence.coordinates.keys() & sent) - claimed == set()


def _input_fields(package: Path) -> Iterable[str]:
    """The fields of the input types that the SDK sends as variables."""
    for file in package.rglob("_generated/input_types.py"):
        for owner in ast.parse(file.read_text(encoding="utf-8")).body:
            for line in owner.body if isinstance(owner, ast.ClassDef) else ():
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    keywords = [node for node in ast.walk(line) if isinstance(node, ast.keyword)]
                    aliases = [node.value for node in keywords if node.arg == "alias"]
                    alias = aliases[0] if aliases else None
                    wire = alias.value if isinstance(alias, ast.Constant) else line.target.id
                    yield f"{owner.name}.{wire}"


SOURCES = {"new": Source(2025, "a client", "https://"), "old": Source(2023, "a schema", "https://")}


def made(coordinates: dict[str, list[str]], accepted: Iterable[str] = ()) -> Evidence:
    entries = [Accepted([name], "why", "without") for name in accepted]
    return Evidence(date(2026, 12, 1), SOURCES, coordinates, entries)


def test_faults_are_found() -> None:
    needed = {"A.new": True, "A.old": True, "A.spare": False, "A.unseen": True}
    seen = {"A.new": ["old", "new"], "A.old": ["old"], "A.spare": ["old"]}

    assert faults(made(seen), needed) == [
        "A.old: needed, but not seen since 2023",
        "A.unseen: needed, but not seen since ever",
        "A.unseen: used, but not in evidence.toml",
    ]
    assert faults(made(seen | {"A.gone": ["new"]}, ["A.old", "A.new", "A.spare", "A.never"]), needed) == [
        "A.gone: in evidence.toml, but used no more",
        "A.never: accepted, but not used",
        "A.new: accepted without need",
        "A.spare: accepted without need",
        "A.unseen: needed, but not seen since ever",
        "A.unseen: used, but not in evidence.toml",
    ]


def test_the_coordinates_of_documents_are_found_and_which_are_needed(tmp_path: Path) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    sdl = """
    scalar JSONString
    enum Kind { A B }
    input RunInput { id: ID!  kind: Kind }
    type Query { run(id: ID!, kind: Kind): Run  other: Node }
    type Mutation { change(input: RunInput!): Run }
    interface Node { id: ID! }
    type Run implements Node { id: ID!  bytes: Int  config(keys: [String!]): JSONString }
    """
    (tmp_path / "wandb.graphql").write_text(sdl)
    text = """
    query Get($id: ID!, $kind: Kind, $keys: [String!]) {
      run(id: $id, kind: $kind) { __typename id size: bytes @optional config(keys: $keys) @optional(args: ["keys"]) }
      other { ... on Run { id } }
    }
    mutation Change($id: ID!) { change(input: {id: $id, kind: A}) { id } }
    """

    found = used(documents(folder, all=text))

    assert {name for name, is_needed in found.items() if not is_needed} == {"Run.bytes", "Run.config(keys:)"}
    assert {name for name, is_needed in found.items() if is_needed} == {
        *(
            "Query.run",
            "Query.run(id:)",
            "Query.run(kind:)",
            "Query.other",
            "Run",
            "Run.id",
            "Run.config",
            "Kind",
        ),
        *("Mutation.change", "Mutation.change(input:)", "RunInput.id", "RunInput.kind", "Kind.A"),
    }
