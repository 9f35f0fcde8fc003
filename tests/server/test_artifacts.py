"""Artifacts through the front door: logged, found, listed, used, changed, linked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from graphql import GraphQLSchema, build_schema, get_named_type, is_leaf_type, is_required_argument
from hypothesis import given
from hypothesis import strategies as st

from tests.caller import Caller, new_project
from tests.server.artifact_logger import COMMIT, CREATE, FILES, ArtifactLogger, entries, md5
from wbgql.resources import schema_file
from wbgql.server import add_user
from wbgql.server.artifacts.manifests import merge
from wbgql.server.projects.rows import parse_id

FILE_URLS = """
query Urls($project: String, $collection: String!, $alias: String!, $first: Int, $after: String) {
  project(entityName: "admin", name: $project) { artifactCollection(name: $collection) {
    artifactMembership(aliasName: $alias) { files(first: $first, after: $after) {
      totalCount pageInfo { endCursor hasNextPage }
      edges { node { name displayName directUrl url sizeBytes md5 isReference } }
    } }
  } }
}
"""
VERSIONS = """
query Versions($project: String, $name: String!, $filters: JSONString, $order: String, $first: Int, $after: String) {
  project(entityName: "admin", name: $project) { artifactType(name: "dataset") { artifactCollection(name: $name) {
    artifacts(filters: $filters, order: $order, first: $first, after: $after) {
      totalCount pageInfo { endCursor hasNextPage }
      edges { version node { id aliases { alias } artifactSequence { name project { name entity { name } } } } }
    }
  } } }
}
"""
LINEAGE = """
query Lineage($project: String, $run: String!) {
  project(entityName: "admin", name: $project) { run(name: $run) {
    outputArtifacts { totalCount edges { node { id } } }
    inputArtifacts { totalCount edges { usedAs node { id usedCount usedBy { totalCount edges { node { name } } } } } }
  } }
}
"""
USE = """
mutation Use($input: UseArtifactInput!) { useArtifact(input: $input) { artifact { id } run { name } } }
"""
ADD_ALIASES = """
mutation Add($input: AddAliasesInput!) { addAliases(input: $input) { success aliases { alias } } }
"""
DELETE_ALIASES = "mutation Drop($input: DeleteAliasesInput!) { deleteAliases(input: $input) { success } }"
UPDATE = """
mutation Update($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact {
  description metadata ttlDurationSeconds ttlIsInherited tags { name }
} } }
"""
LINK = """
mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) {
  versionIndex artifactCollectionID aliases { alias artifactCollectionName projectName }
  artifactMembership { versionIndex aliases { alias } artifactCollection { __typename name } artifact { id } }
} }
"""
UNLINK = "mutation Unlink($input: UnlinkArtifactInput!) { unlinkArtifact(input: $input) { success } }"
COLLECTIONS = """
query Collections($project: String, $filters: JSONString, $order: String, $types: [ArtifactCollectionType!]) {
  project(entityName: "admin", name: $project) {
    artifactTypes { edges { node { name } } }
    artifactCollections(filters: $filters, order: $order, collectionTypes: $types) {
      totalCount
      edges { node {
        __typename id name description state defaultArtifactType { name } tags { edges { node { name } } }
      } }
    }
  }
}
"""
MAPPING = """
query Mapping($id: ID!) { clientIDMapping(clientID: $id) {
  serverID entry { __typename ... on Artifact { state } ... on ArtifactSequence { name } }
} }
"""


@pytest.fixture
def logger(caller: Caller) -> ArtifactLogger:
    """Logs to a project of its own, in which a run `r1` exists."""
    project = new_project()
    caller.upsert(project, name="r1")
    return ArtifactLogger(caller, project)


def aliases(version: Any) -> list[str]:
    return sorted(one["alias"] for one in version["aliases"])


def files_of(logger: ArtifactLogger, name: str, alias: str = "latest", **page: Any) -> Any:
    answer = logger.caller.ask(FILE_URLS, project=logger.project, collection=name, alias=alias, **page)
    return answer["project"]["artifactCollection"]["artifactMembership"]["files"]


def versions(logger: ArtifactLogger, name: str, **given: Any) -> Any:
    answer = logger.caller.ask(VERSIONS, project=logger.project, name=name, **given)
    return answer["project"]["artifactType"]["artifactCollection"]["artifacts"]


def alias_input(logger: ArtifactLogger, collection: str, alias: str) -> dict[str, str]:
    return {
        "entityName": "admin",
        "projectName": logger.project,
        "artifactCollectionName": collection,
        "alias": alias,
    }


# ---- logging ----


def test_a_committed_version_has_a_number_its_aliases_and_the_size_of_its_files(logger):
    artifact_id = logger.log("ds", {"a.txt": b"one", "d/b.txt": b"three"}, runName="r1", aliases=["best"])

    found = logger.by_name("ds:v0")

    assert found == logger.by_name("ds:best") == logger.by_name("ds") == logger.get(artifact_id)
    assert (found["state"], found["size"], found["fileCount"]) == ("COMMITTED", 8, 2)
    assert aliases(found) == ["best", "latest", "v0"]
    assert found["artifactType"] == {"name": "dataset"}


def test_number_and_latest_move_at_the_commit_and_only_once(logger):
    first = logger.log("ds", {"a": b"1"})
    pending = logger.create("ds", {"a": b"2"})
    assert pending["state"] == "PENDING"
    assert pending["artifactSequence"]["latestArtifact"]["id"] == first
    assert logger.get(pending["id"])["versionIndex"] is None

    logger.put_files(pending["id"], {"a": b"2"})
    logger.put_manifest(pending["id"], entries({"a": b"2"}))
    logger.commit(pending["id"])
    logger.commit(pending["id"])

    assert logger.by_name("ds:latest")["id"] == pending["id"]
    assert logger.by_name("ds:v1")["id"] == pending["id"]
    assert logger.by_name("ds:v2") is None


def test_the_same_content_again_is_the_same_version_with_more_aliases(logger):
    first = logger.log("ds", {"a": b"1"}, runName="r1")
    logger.log("ds", {"a": b"2"}, runName="r1")
    logger.caller.upsert(logger.project, name="r2")

    again = logger.create("ds", {"a": b"1"}, runName="r2", aliases=["again", "latest"])

    assert (again["id"], again["state"]) == (first, "COMMITTED")
    assert aliases(logger.get(first)) == ["again", "latest", "v0"]
    outputs = logger.caller.ask(LINEAGE, project=logger.project, run="r2")["project"]["run"][
        "outputArtifacts"
    ]
    assert [edge["node"]["id"] for edge in outputs["edges"]] == [first]


def test_creating_twice_with_one_client_id_gives_one_version(logger):
    first = logger.create("ds", {"a": b"1"}, clientID="c1", sequenceClientID="s1")
    second = logger.create("ds", {"a": b"1"}, clientID="c1", sequenceClientID="s1")

    assert first["id"] == second["id"]


def test_writers_of_a_distributed_artifact_share_one_version_made_of_their_patches(logger):
    ids = {logger.create("ds", {"a": b"1"}, distributedID="d1", clientID=one)["id"] for one in ("c1", "c2")}
    (artifact_id,) = ids
    for files in ({"a": b"1"}, {"b": b"2"}):
        logger.put_files(artifact_id, files)
        logger.put_manifest(artifact_id, entries(files), type="PATCH")

    logger.commit(artifact_id)

    assert [edge["node"]["name"] for edge in files_of(logger, "ds")["edges"]] == ["a", "b"]


def test_an_incremental_version_holds_the_files_of_its_base_too(logger):
    base = logger.log("ds", {"a": b"1", "b": b"2"})
    more = logger.create("ds", {"b": b"new"})
    logger.put_files(more["id"], {"b": b"new"})
    logger.put_manifest(more["id"], entries({"b": b"new"}), type="INCREMENTAL", base=base)

    logger.commit(more["id"])

    found = {edge["node"]["name"]: edge["node"]["md5"] for edge in files_of(logger, "ds")["edges"]}
    assert found == {"a": md5(b"1"), "b": md5(b"new")}


def test_content_the_project_holds_is_not_uploaded_again(logger):
    logger.log("ds", {"a": b"same"})
    logger.log("other", {"z": b"same", "y": b"new"})

    assert logger.uploads == ["a", "y"]
    urls = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in files_of(logger, "other")["edges"]}
    assert requests.get(urls["z"], timeout=10).content == b"same"


def test_files_come_back_in_the_order_and_number_of_the_request(logger):
    artifact = logger.create("ds", {})
    names = ["z", "a", "m", "a2"]

    nodes = logger.declare(artifact["id"], dict.fromkeys(names, b"x"))

    assert [node["name"] for node in nodes] == names
    assert {node["artifact"]["id"] for node in nodes} == {artifact["id"]}
    assert [node["uploadMultipartUrls"] for node in nodes] == [None] * 4


def test_an_upload_of_other_bytes_than_declared_is_refused_and_cannot_be_committed(logger):
    artifact = logger.create("ds", {"a": b"right"})
    (node,) = logger.declare(artifact["id"], {"a": b"right"})

    answer = requests.put(node["uploadUrl"], data=b"wrong", timeout=10)
    logger.put_manifest(artifact["id"], entries({"a": b"right"}))
    commit = logger.caller.post('mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }',
                                id=artifact["id"])  # fmt: skip

    assert answer.status_code == 400
    assert commit.status_code == 400
    assert "content of 'a' was never uploaded" in commit.text
    assert logger.by_name("ds") is None


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({"../up": {"digest": md5(b"x")}}, "not a path inside an artifact"),
        ({"a/../../up": {"digest": md5(b"x")}}, "not a path inside an artifact"),
        ({"a": {"size": 3}}, "no digest for 'a'"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused_at_the_commit(logger, contents, reason):
    artifact = logger.create("ds", {})
    logger.put_manifest(artifact["id"], contents)

    answer = logger.caller.post(
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
        id=artifact["id"],
    )

    assert answer.status_code == 400
    assert reason in answer.text


@pytest.mark.parametrize("region", ["default", "minio-local"])
def test_the_one_store_has_two_names_as_a_storage_region(logger, region):
    artifact = logger.create("ds", {})
    logger.put_manifest(artifact["id"], {}, region=region)

    assert logger.commit(artifact["id"])["state"] == "COMMITTED"


def test_another_storage_region_is_refused_as_there_is_none(logger):
    artifact = logger.create("ds", {})
    logger.put_manifest(artifact["id"], {}, region="mars")

    answer = logger.caller.post(
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }",
        id=artifact["id"],
    )

    assert answer.status_code == 400
    assert "invalid storageRegion: 'mars'" in answer.text


def test_a_manifest_with_another_digest_than_declared_is_refused(logger):
    artifact = logger.create("ds", {"a": b"1"})
    given = {"artifactID": artifact["id"], "name": "m", "digest": md5(b"x"), "entityName": "", "projectName": "p",
             "runName": "", "type": "FULL"}  # fmt: skip
    node = logger.caller.ask(
        "mutation M($input: CreateArtifactManifestInput!) { createArtifactManifest(input: $input) {"
        " artifactManifest { id file { uploadUrl } } } }",
        input=given,
    )["createArtifactManifest"]["artifactManifest"]

    assert requests.put(node["file"]["uploadUrl"], data=b"{}", timeout=10).status_code == 400


def test_a_reference_is_listed_with_its_address_and_needs_no_content(logger):
    artifact = logger.create("ds", {})
    contents = {"x.bin": {"digest": "etag", "ref": "s3://bucket/x.bin", "size": 7}}
    logger.put_manifest(artifact["id"], contents)
    logger.commit(artifact["id"])

    (edge,) = files_of(logger, "ds")["edges"]

    assert edge["node"]["directUrl"] == "s3://bucket/x.bin"
    assert edge["node"]["isReference"] is True
    assert logger.get(artifact["id"])["size"] == 7


def test_a_draft_takes_content_from_the_version_that_first_had_it(logger):
    birth = logger.log("ds", {"a": b"old"})
    elsewhere = ArtifactLogger(logger.caller, new_project())
    logger.caller.upsert(elsewhere.project, name="r1")
    draft = elsewhere.create("draft", {"a": b"old"})
    elsewhere.put_manifest(draft["id"], entries({"a": b"old"}, birth))

    elsewhere.commit(draft["id"])

    (edge,) = files_of(elsewhere, "draft")["edges"]
    assert requests.get(edge["node"]["directUrl"], timeout=10).content == b"old"


def test_a_collection_keeps_its_type(logger):
    logger.log("ds", {"a": b"1"})

    answer = logger.caller.post(CREATE, input=logger.input("ds", {"a": b"2"}, artifactTypeName="model"))

    assert answer.status_code == 400
    assert "has type 'dataset'" in answer.text


def test_the_name_of_the_version_itself_may_be_given_as_an_alias_and_no_other(logger):
    logger.log("ds", {"a": b"1"}, aliases=["v0", "good"])
    logger.log("ds", {"a": b"1"}, aliases=["v0"])
    another = logger.create("ds", {"a": b"2"}, aliases=["v0"])
    logger.put_files(another["id"], {"a": b"2"})
    logger.put_manifest(another["id"], entries({"a": b"2"}))

    answer = logger.caller.post(COMMIT, id=another["id"])

    assert aliases(logger.by_name("ds:v0")) == ["good", "latest", "v0"]
    assert answer.status_code == 400
    assert "not an alias: 'v0'" in answer.text


@pytest.mark.parametrize("alias", ["a/b", "a:b", ""])
def test_an_alias_that_cannot_be_one_is_refused(logger, alias):
    answer = logger.caller.post(CREATE, input=logger.input("ds", {"a": b"1"}, aliases=[alias]))

    assert answer.status_code == 400
    assert "not an alias" in answer.text


def test_a_deleted_run_can_neither_create_nor_commit(logger):
    pending = logger.create("ds", {"a": b"1"}, runName="r1")
    logger.put_files(pending["id"], {"a": b"1"})
    run_id = logger.caller.run(logger.project, "r1")["id"]
    logger.caller.ask("mutation D($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=run_id)

    create = logger.caller.post(CREATE, input=logger.input("other", {"a": b"1"}, runName="r1"))
    declare = logger.caller.post(
        FILES,
        input={
            "storageLayout": "V2",
            "artifactFiles": [{"artifactID": pending["id"], "name": "b", "md5": md5(b"2")}],
        },
    )

    assert (create.status_code, declare.status_code) == (410, 410)


def test_metadata_must_be_an_object_and_may_hold_nan(logger):
    answer = logger.caller.post(CREATE, input=logger.input("ds", {}, metadata="[1]"))
    artifact_id = logger.log("ds", {"a": b"1"}, metadata='{"loss": NaN}')

    assert answer.status_code == 400
    assert logger.get(artifact_id)["metadata"] == '{"loss": NaN}'


def test_client_ids_lead_to_the_version_and_its_sequence(logger):
    artifact_id = logger.log(
        "ds", {"a": b"1"}, clientID=f"c-{logger.project}", sequenceClientID=f"s-{logger.project}"
    )

    version = logger.caller.ask(MAPPING, id=f"c-{logger.project}")["clientIDMapping"]
    sequence = logger.caller.ask(MAPPING, id=f"s-{logger.project}")["clientIDMapping"]

    assert version == {"serverID": artifact_id, "entry": {"__typename": "Artifact", "state": "COMMITTED"}}
    assert sequence["entry"] == {"__typename": "ArtifactSequence", "name": "ds"}
    assert logger.caller.ask(MAPPING, id="unknown")["clientIDMapping"] is None


# ---- reading ----


def test_files_are_paged_and_download_through_urls_that_need_no_key(logger):
    content = {f"f{n:02}": str(n).encode() for n in range(5)} | {"a b#é.txt": b"odd"}
    logger.log("ds", content)

    seen: dict[str, bytes] = {}
    after, pages = None, 0
    while True:
        page = files_of(logger, "ds", first=2, after=after)
        seen |= {edge["node"]["name"]: requests.get(edge["node"]["directUrl"], timeout=10).content
                 for edge in page["edges"]}  # fmt: skip
        after, pages = page["pageInfo"]["endCursor"], pages + 1
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert (seen, pages, page["totalCount"]) == (content, 3, 6)


def test_the_manifest_is_served_as_it_was_uploaded(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    query = "query M($id: ID!) { artifact(id: $id) { currentManifest { digest artifact { id } file { directUrl } } } }"

    manifest = logger.caller.ask(query, id=artifact_id)["artifact"]["currentManifest"]

    served = requests.get(manifest["file"]["directUrl"], timeout=10)
    assert md5(served.content) == manifest["digest"]
    assert set(served.json()["contents"]) == {"a"}


def test_a_file_is_served_by_digest_to_those_who_see_the_project(logger):
    logger.log("ds", {"a": b"one"})
    digest = "f97c5d29941bfb1b2fdab0874906ab82"
    url = f"{logger.caller.base_url}/artifactsV2/default/admin/{logger.project}/ds/birth/{digest}/a"

    allowed = requests.get(url, auth=("api", logger.caller.api_key), timeout=10)

    assert allowed.content == b"one"
    assert requests.get(url, timeout=10).status_code == 401
    wrong = url.replace(digest, "zz")
    assert requests.get(wrong, auth=("api", logger.caller.api_key), timeout=10).status_code == 404


def test_versions_are_listed_newest_first_page_by_page(logger):
    for n in range(5):
        logger.log("ds", {"a": str(n).encode()})

    first = versions(logger, "ds", first=3)
    rest = versions(logger, "ds", first=3, after=first["pageInfo"]["endCursor"])

    assert [edge["version"] for edge in first["edges"]] == ["v4", "v3", "v2"]
    assert [edge["version"] for edge in rest["edges"]] == ["v1", "v0"]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert first["totalCount"] == 5


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"state": "COMMITTED"}, ["v2", "v1", "v0"]),
        ({"tags": "even"}, ["v2", "v0"]),
        ({"alias": "mid"}, ["v1"]),
        ({"$or": [{"alias": "latest"}, {"versionIndex": {"$lt": 1}}]}, ["v2", "v0"]),
        ({"metadata.n": {"$gte": 1}}, ["v2", "v1"]),
        ({"createdAt": {"$gt": "2999-01-01"}}, []),
    ],
)
def test_versions_can_be_filtered(logger, filters, expected):
    for n in range(3):
        logger.log(
            "ds",
            {"a": str(n).encode()},
            tags=[{"tagName": "even" if n % 2 == 0 else "odd"}],
            aliases=["mid"] if n == 1 else [],
            metadata=json.dumps({"n": n}),
        )

    found = versions(logger, "ds", filters=json.dumps(filters))

    assert [edge["version"] for edge in found["edges"]] == expected
    assert found["totalCount"] == len(expected)


def test_a_filter_on_an_unknown_column_is_refused(logger):
    logger.log("ds", {"a": b"1"})

    answer = logger.caller.post(VERSIONS, project=logger.project, name="ds", filters='{"colour": "red"}')

    assert answer.status_code == 400
    assert "invalid column 'colour'" in answer.text


def test_collections_are_listed_filtered_and_ordered(logger):
    logger.log("b", {"a": b"1"})
    logger.log("a", {"a": b"1"}, artifactTypeName="model")
    ask = logger.caller.ask

    every = ask(COLLECTIONS, project=logger.project, order="+name")["project"]
    some = ask(COLLECTIONS, project=logger.project, filters='{"name": {"$regex": "^b"}}')["project"]
    links = ask(COLLECTIONS, project=logger.project, types=["PORTFOLIO"])["project"]["artifactCollections"]

    assert [edge["node"]["name"] for edge in every["artifactCollections"]["edges"]] == ["a", "b"]
    assert [edge["node"]["name"] for edge in every["artifactTypes"]["edges"]] == ["dataset", "model"]
    assert [edge["node"]["name"] for edge in some["artifactCollections"]["edges"]] == ["b"]
    assert (links["edges"], links["totalCount"]) == ([], 0)


def test_a_run_shows_what_it_logged_and_used(logger):
    made = logger.log("ds", {"a": b"1"}, runName="r1")
    logger.caller.upsert(logger.project, name="r2")
    use = {"artifactID": made, "entityName": "admin", "projectName": logger.project, "runName": "r2"}
    for used_as in ("train", "test", "train"):
        logger.caller.ask(USE, input=use | {"usedAs": used_as})

    maker = logger.caller.ask(LINEAGE, project=logger.project, run="r1")["project"]["run"]
    user = logger.caller.ask(LINEAGE, project=logger.project, run="r2")["project"]["run"]

    assert maker["outputArtifacts"] == {"totalCount": 1, "edges": [{"node": {"id": made}}]}
    assert maker["inputArtifacts"]["totalCount"] == 0
    (edge,) = user["inputArtifacts"]["edges"]
    assert edge["usedAs"] == ["train", "test"]
    assert edge["node"]["usedBy"] == {"totalCount": 1, "edges": [{"node": {"name": "r2"}}]}


def test_others_see_nothing_of_a_private_project(logger, local_server):
    artifact_id = logger.log("ds", {"a": b"one"}, clientID=f"private-{logger.project}")
    stranger = Caller(logger.caller.base_url, add_user(local_server.data, "stranger"))
    theirs = ArtifactLogger(stranger, logger.project)
    url = f"{stranger.base_url}/artifactsV2/default/admin/{logger.project}/ds/x/f97c5d29941bfb1b2fdab0874906ab82/a"

    assert theirs.get(artifact_id) is None
    assert theirs.by_name("ds") is None
    assert stranger.ask(MAPPING, id=f"private-{logger.project}")["clientIDMapping"] is None
    assert theirs.delete(artifact_id, aliases=True).status_code == 404
    assert stranger.post(CREATE, input=theirs.input("ds", {})).status_code in (403, 404)
    assert requests.get(url, auth=("api", stranger.api_key), timeout=10).status_code == 404


@given(st.text(), st.sampled_from(["Artifact", "ArtifactCollection"]))
def test_parse_id_of_anything_else_is_no_row(text, kind):
    assert parse_id(kind, text) == -1


def test_a_version_depends_on_what_its_run_used(logger):
    source = logger.log("source", {"a": b"1"})
    use = {"artifactID": source, "entityName": "admin", "projectName": logger.project, "runName": "r1"}
    logger.caller.ask(USE, input=use)
    made = logger.log("made", {"a": b"2"}, runName="r1")
    query = """query D($id: ID!) { artifact(id: $id) {
      dependsOn { totalCount edges { node { id } } } dependencyOf { edges { node { id } } }
    } }"""

    below = logger.caller.ask(query, id=made)["artifact"]
    above = logger.caller.ask(query, id=source)["artifact"]

    assert below["dependsOn"] == {"totalCount": 1, "edges": [{"node": {"id": source}}]}
    assert above["dependencyOf"]["edges"] == [{"node": {"id": made}}]
    assert above["dependsOn"]["totalCount"] == 0


@pytest.mark.parametrize("what", ["commitHash", "digest"])
def test_a_version_is_found_by_its_hashes(logger, what):
    artifact_id = logger.log("ds", {"a": b"1"})
    logger.log("ds", {"a": b"2"})

    found = logger.by_name(f"ds:{logger.get(artifact_id)[what]}")

    assert found["id"] == artifact_id


@pytest.mark.parametrize(
    "type_name", ["Artifact", "ArtifactSequence", "ArtifactCollectionMembership", "File"]
)
def test_every_field_of_the_sdl_that_needs_no_argument_has_an_answer(logger, type_name):
    artifact_id = logger.log("ds", {"a": b"1"}, runName="r1")
    schema = build_schema(schema_file().read_text())
    place = {
        "Artifact": "{}",
        "ArtifactSequence": "artifactSequence {{ {} }}",
        "ArtifactCollectionMembership": "artifactMemberships {{ edges {{ node {{ {} }} }} }}",
        "File": "files {{ edges {{ node {{ {} }} }} }}",
    }[type_name].format(shallow(schema, type_name))

    answer = logger.caller.post(f"query All($id: ID!) {{ artifact(id: $id) {{ {place} }} }}", id=artifact_id)

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["artifact"]


def shallow(schema: GraphQLSchema, type_name: str) -> str:
    """A selection of every field without required arguments; of objects only what they are."""
    parts = []
    for name, field in schema.type_map[type_name].fields.items():
        if not any(is_required_argument(argument) for argument in field.args.values()):
            parts.append(name if is_leaf_type(get_named_type(field.type)) else f"{name} {{ __typename }}")
    return " ".join(parts)


# ---- changing ----


def test_an_alias_moves_to_the_version_it_is_given_to(logger):
    first, second = logger.log("ds", {"a": b"1"}, aliases=["prod"]), logger.log("ds", {"a": b"2"})

    wanted = [alias_input(logger, "ds", "prod"), alias_input(logger, "ds", "x")]
    logger.caller.ask(ADD_ALIASES, input={"artifactID": second, "aliases": wanted})
    logger.caller.ask(DELETE_ALIASES, input={"artifactID": second, "aliases": wanted[1:]})

    assert aliases(logger.get(first)) == ["v0"]
    assert aliases(logger.get(second)) == ["latest", "prod", "v1"]


def test_an_alias_of_a_collection_the_version_is_not_in_is_refused(logger):
    first = logger.log("ds", {"a": b"1"})
    logger.log("other", {"a": b"2"})

    answer = logger.caller.post(
        ADD_ALIASES, input={"artifactID": first, "aliases": [alias_input(logger, "other", "x")]}
    )

    assert answer.status_code == 404


def test_update_leaves_out_what_is_null(logger):
    artifact_id = logger.log("ds", {"a": b"1"}, description="old", tags=[{"tagName": "a"}, {"tagName": "b"}])

    changed = logger.caller.ask(
        UPDATE,
        input={
            "artifactID": artifact_id,
            "metadata": '{"k": 1}',
            "tagsToAdd": [{"tagName": "c"}],
            "tagsToDelete": [{"tagName": "a"}],
            "ttlDurationSeconds": 60,
        },
    )["updateArtifact"]["artifact"]

    assert changed == {
        "description": "old",
        "metadata": '{"k": 1}',
        "ttlDurationSeconds": 60,
        "ttlIsInherited": False,
        "tags": [{"name": "b"}, {"name": "c"}],
    }


@pytest.mark.parametrize(("sent", "expected"), [(-1, (-2, True)), (-2, (-2, False)), (5, (5, False))])
def test_time_to_live_can_be_inherited_off_or_seconds(logger, sent, expected):
    artifact_id = logger.log("ds", {"a": b"1"}, ttlDurationSeconds=9)

    logger.caller.ask(UPDATE, input={"artifactID": artifact_id, "ttlDurationSeconds": sent})

    found = logger.get(artifact_id)
    assert (found["ttlDurationSeconds"], found["ttlIsInherited"]) == expected


def test_a_collection_can_be_renamed_described_tagged_and_retyped(logger):
    logger.log("ds", {"a": b"1"})
    ask = logger.caller.ask
    (edge,) = ask(COLLECTIONS, project=logger.project)["project"]["artifactCollections"]["edges"]
    key = {"artifactSequenceID": edge["node"]["id"]}
    place = {"entityName": "admin", "projectName": logger.project, "artifactCollectionName": "new"}

    ask("mutation U($input: UpdateArtifactSequenceInput!) { updateArtifactSequence(input: $input)"
        " { artifactCollection { name } } }", input=key | {"name": "new", "description": "d"})  # fmt: skip
    ask("mutation M($input: MoveArtifactSequenceInput!) { moveArtifactSequence(input: $input)"
        " { artifactCollection { id } } }", input=key | {"destinationArtifactTypeName": "model"})  # fmt: skip
    tags = "mutation T($input: {0}!) {{ {1}(input: $input) {{ {2} }} }}"
    ask(tags.format("CreateArtifactCollectionTagAssignmentsInput", "createArtifactCollectionTagAssignments",
                    "tags { name }"), input=place | {"tags": [{"tagName": "t"}, {"tagName": "u"}]})  # fmt: skip
    ask(tags.format("DeleteArtifactCollectionTagAssignmentsInput", "deleteArtifactCollectionTagAssignments",
                    "success"), input=place | {"tags": [{"tagName": "u"}]})  # fmt: skip

    (edge,) = ask(COLLECTIONS, project=logger.project)["project"]["artifactCollections"]["edges"]
    node = edge["node"]
    assert (node["name"], node["description"]) == ("new", "d")
    assert node["defaultArtifactType"] == {"name": "model"}
    assert [one["node"]["name"] for one in node["tags"]["edges"]] == ["t"]
    assert logger.by_name("new:v0")["artifactType"] == {"name": "model"}


def test_a_linked_version_has_a_number_and_aliases_of_its_own(logger):
    logger.log("ds", {"a": b"1"})
    second = logger.log("ds", {"a": b"2"})
    target = {"artifactPortfolioName": "shelf", "entityName": "admin", "projectName": logger.project}
    wanted = {
        "artifactID": second,
        "aliases": [{"artifactCollectionName": "shelf", "alias": "prod"}],
    } | target

    linked = logger.caller.ask(LINK, input=wanted)["linkArtifact"]
    again = logger.caller.ask(LINK, input=wanted)["linkArtifact"]

    assert linked == again
    assert linked["versionIndex"] == 0
    assert linked["artifactMembership"]["artifactCollection"] == {
        "__typename": "ArtifactPortfolio",
        "name": "shelf",
    }
    assert sorted(one["alias"] for one in linked["aliases"]) == ["latest", "prod"]
    assert logger.by_name("shelf:v0")["id"] == logger.by_name("shelf:prod")["id"] == second
    assert logger.by_name("shelf:v0")["versionIndex"] == 1

    portfolio = linked["artifactCollectionID"]
    logger.caller.ask(UNLINK, input={"artifactID": second, "artifactPortfolioID": portfolio})

    assert logger.by_name("shelf:v0") is None
    assert aliases(logger.get(second)) == ["latest", "v1"]


def test_a_link_makes_the_project_it_leads_to_but_no_registry(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    target = {"artifactID": artifact_id, "artifactPortfolioName": "shelf", "entityName": "admin"}
    project = new_project()

    logger.caller.ask(LINK, input=target | {"projectName": project})
    refused = logger.caller.post(LINK, input=target | {"projectName": "wandb-registry-none"})

    assert ArtifactLogger(logger.caller, project).by_name("shelf:latest")["id"] == artifact_id
    assert refused.status_code == 404


def test_a_sequence_cannot_be_linked_into(logger):
    artifact_id = logger.log("ds", {"a": b"1"})
    target = {"artifactPortfolioName": "ds", "entityName": "admin", "projectName": logger.project}

    answer = logger.caller.post(LINK, input={"artifactID": artifact_id} | target)

    assert answer.status_code == 400
    assert "has versions of its own" in answer.text


# ---- manifests ----

_contents = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(), max_size=4)


@given(_contents, st.lists(_contents, max_size=3))
def test_merge_lays_later_contents_over_earlier(base, changes):
    expected = dict(base)
    for change in changes:
        expected |= change

    merged = merge({"version": 1, "contents": base}, [{"version": 1, "contents": one} for one in changes])

    assert merged == {"version": 1, "contents": expected}
