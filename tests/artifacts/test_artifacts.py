"""Artifacts of a real server: listed, found, downloaded, orphaned."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.fakes import FakeTransport, page
from tests.server.artifact_logger import md5
from tests.stored import FakeFetcher, collection, version
from wbgql.artifacts import (
    ArtifactPath,
    VersionQuery,
    download_artifact,
    get_artifact_by_name,
    iter_versions,
    parse_artifact_path,
)
from wbgql.artifacts.manifests import parse_manifest
from wbgql.downloads import Downloader
from wbgql.errors import (
    FilterError,
    NotFetched,
    NotFound,
    PartialError,
    ResultError,
    UnknownKeyWarning,
    UsageError,
)
from wbgql.paths import ProjectPath
from wbgql.wire.session import Session

PATH = ProjectPath("acme", "vision")


def test_a_whole_project_is_listed_with_one_request(world):
    world.log("ds", {"a": b"1"}, tags=["keep"])
    world.log("ds", {"a": b"2"}, aliases=["best"])
    world.log("net", {"w": b"3"}, artifactTypeName="model")
    before = world.client.stats.requests

    found = list(world.client.artifacts(world.path))

    assert world.client.stats.requests - before == 1
    assert sorted(one.name for one in found) == ["ds:v0", "ds:v1", "net:v0"]
    assert {one.path for one in found} >= {f"{world.path}/ds:v1"}


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"type": "model"}, ["net:v0"]),
        ({"collection": "ds"}, ["ds:v0", "ds:v1"]),
        ({"alias": "best"}, ["ds:v1"]),
        ({"tag": "keep"}, ["ds:v0"]),
        ({"metadata": {"rows": 10}}, ["ds:v1"]),
        ({"metadata": {"split.kind": "test"}}, ["ds:v0"]),
        ({"alias": "best", "tag": "keep"}, []),
    ],
    ids=str,
)
def test_versions_are_found_by(world, asked, names):
    world.log("ds", {"a": b"1"}, tags=["keep"], metadata={"split": {"kind": "test"}})
    world.log("ds", {"a": b"2"}, aliases=["best"], metadata={"rows": 10})
    world.log("net", {"w": b"3"}, artifactTypeName="model")

    assert sorted(one.name for one in world.client.artifacts(world.path, **asked)) == names


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"metadata": {"acc": 0.5}}, "v0"),
        ({"metadata": {"acc": {"$gt": 0.4}}}, "v0 v1"),
        ({"metadata": {"acc": {"$gt": 0.4, "$lt": 0.6}}}, "v0"),
        ({"metadata": {"acc": {"$in": [0.1, 0.9]}}}, "v1 v2"),
        ({"metadata": {"acc": {"$exists": True}}}, "v0 v1 v2"),
        ({"metadata": {"only": {"$exists": False}}}, "v0 v2"),
        ({"metadata": {"a.b": 3}}, "v0 v1 v2"),
        ({"metadata": {"nested.inner": {"$gte": 1}}}, "v1 v2"),
        ({"metadata": {"nested": {"inner": 2}}}, "v2"),
        ({"metadata": {"tags": "x"}}, "v0 v1 v2"),
        ({"metadata": {"tags": ["x"]}}, "v0 v1 v2"),
        ({"metadata": {"ok": True}}, "v1"),
        ({"alias": "v2"}, "v2"),
        ({"alias": "v1", "metadata": {"acc": {"$gt": 0.4}}}, "v1"),
    ],
    ids=str,
)
def test_metadata_and_versions_are_compared_by_what_is_asked(world, asked, found):
    for number, acc in enumerate((0.5, 0.9, 0.1)):
        metadata = {"acc": acc, "a.b": 3, "tags": ["x"], "nested": {"inner": number}, "ok": number == 1}
        metadata |= {"only": 1} if number == 1 else {}
        world.log("m", {"w": str(acc).encode()}, metadata=metadata)

    names = [one.name.partition(":")[2] for one in world.client.artifacts(world.path, **asked)]

    assert sorted(names) == found.split()


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"acc": {"$near": 1}}, r"metadata 'acc'\.\$near: unknown operator"),
        ({"acc": {"$in": 3}}, "metadata 'acc'"),
        ({"$gt": 3}, "is no key of metadata"),
    ],
    ids=str,
)
def test_a_test_of_metadata_that_is_not_known_is_refused(world, metadata, said):
    with pytest.raises(FilterError, match=said):
        list(world.client.artifacts(world.path, metadata=metadata))


def test_a_misspelt_key_of_metadata_is_told(world):
    world.log("m", {"w": b"1"}, metadata={"accuracy": 1})

    with pytest.warns(UnknownKeyWarning, match="has metadata 'acuracy'; did you mean 'accuracy'"):
        assert list(world.client.artifacts(world.path, metadata={"acuracy": {"$gt": 0}})) == []


def test_a_server_that_ignores_the_filter_changes_nothing():
    nodes = [version(0, tags=[{"name": "keep"}]), version(1)]
    transport = FakeTransport({"project": {"artifactCollections": page([collection("net", nodes)])}})

    found = list(iter_versions(Session(transport), PATH, VersionQuery(tag="keep")))

    assert [one.id for one in found] == ["id0"]
    assert json.loads(transport.sent[0][1]["filters"]) == {"state": "COMMITTED", "tag": "keep"}


def test_a_collection_with_more_versions_than_came_along_is_read_on():
    nested = collection("net", [version(3), version(2)], cursor="c2")
    rest = {
        "project": {"artifactCollection": {"artifacts": page([version(1), version(0)]) | {"totalCount": 2}}}
    }
    other = collection("other", [version(7)])
    transport = FakeTransport({"project": {"artifactCollections": page([nested, other])}}, rest)

    found = [one.id for one in iter_versions(Session(transport), PATH)]

    assert found == ["id3", "id2", "id1", "id0", "id7"]
    assert transport.sent[1][1]["after"] == "c2"


def test_a_portfolio_among_the_collections_is_passed_over():
    portfolio = {"id": "c9", "name": "prod"}
    collections = page([portfolio, collection("net", [version(0)])])
    transport = FakeTransport({"project": {"artifactCollections": collections}})

    assert [one.id for one in iter_versions(Session(transport), PATH)] == ["id0"]
    assert len(transport.sent) == 1


def test_a_type_or_collection_that_is_not_there_is_an_error(world):
    world.log("ds", {"a": b"1"})

    with pytest.raises(NotFound, match="no artifact type 'nope'"):
        list(world.client.artifacts(world.path, type="nope"))
    with pytest.raises(NotFound, match="no artifact collection 'nope'"):
        list(world.client.artifacts(world.path, collection="nope"))
    with pytest.raises(NotFound, match="no project"):
        list(world.client.artifacts("admin/no-such-project"))


def test_an_empty_alias_is_refused():
    with pytest.raises(UsageError, match="alias must not be empty"):
        VersionQuery(alias="")


def test_types_and_collections_are_listed(world):
    world.log("ds", {"a": b"1"})
    world.log("ds", {"a": b"2"})
    world.log("net", {"w": b"3"}, artifactTypeName="model")

    assert sorted(kind.name for kind in world.client.artifact_types(world.path)) == ["dataset", "model"]
    found = {one.name: (one.type, one.version_count) for one in world.client.artifact_collections(world.path)}
    assert found == {"ds": ("dataset", 2), "net": ("model", 1)}
    assert [one.name for one in world.client.artifact_collections(world.path, type="model")] == ["net"]


def test_one_version_is_shown_by_its_name(world):
    run = world.run("r1")
    world.log("ds", {"a": b"1"}, runName="r1", aliases=["best"], tags=["keep"], metadata={"rows": 3})

    found = world.client.artifact(f"{world.path}/ds:best")

    assert (found.name, found.type, found.values, found.tag_names) == (
        "ds:v0",
        "dataset",
        {"rows": 3},
        ("keep",),
    )
    assert (found.run, found.user) == (run, "admin")


def test_what_was_not_fetched_of_a_version_is_not_none(world):
    run = world.run("r1")
    world.log("ds", {"a": b"1"}, runName="r1", metadata={"rows": 3})
    (listed,) = world.client.artifacts(world.path)
    (with_metadata,) = world.client.artifacts(world.path, with_metadata=True)
    (logged,) = world.client.logged_artifacts(run)
    (project,) = (one for one in world.client.projects("admin") if f"admin/{one.name}" == world.path)

    assert with_metadata.values == {"rows": 3}
    assert world.client.artifact(f"{world.path}/ds:v0").description is None
    unread = [(listed, "metadata"), (listed, "values"), (with_metadata, "description")]
    unread += [(logged, "metadata"), (logged, "description"), (logged, "tags"), (project, "run_count")]
    for owner, name in unread:
        with pytest.raises(NotFetched, match="was not fetched"):
            getattr(owner, name, None)
    assert getattr(logged, "nosuch", None) is None


def test_a_version_that_is_not_there_names_what_was_asked_for(world):
    world.log("ds", {"a": b"1"})

    with pytest.raises(NotFound, match=f"no artifact '{world.path}/ds:v9'"):
        world.client.artifact(f"{world.path}/ds:v9")


def test_a_download_brings_every_file_checked(world, tmp_path):
    files = {"a.txt": b"one", "d/b.bin": bytes(3_000_000), "empty": b""}
    world.log("ds", files)

    done = world.client.download_artifact(f"{world.path}/ds:v0", tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert {file.checked for file in done.result.files} == {"md5"}


def test_a_second_download_of_a_version_fetches_no_file(world, tmp_path):
    world.log("ds", {"a": b"1", "b": b"2"})
    world.client.download_artifact(f"{world.path}/ds:v0", tmp_path)

    again = world.client.download_artifact(f"{world.path}/ds:v0", tmp_path)

    assert {file.state for file in again.result.files} == {"present"}


def test_a_pattern_downloads_only_what_fits(world, tmp_path):
    world.log("ds", {"a.txt": b"1", "d/b.txt": b"2", "c.bin": b"3"})

    done = world.client.download_artifact(f"{world.path}/ds:v0", tmp_path, pattern="*.txt")

    assert sorted(file.name for file in done.result.files) == ["a.txt", "d/b.txt"]


def test_references_are_reported_with_where_they_live(world, tmp_path):
    made = world.logger.create("ds", {"a": b"1"})
    contents = {"x.bin": {"digest": "etag", "ref": "s3://bucket/x.bin", "size": 7}}
    world.logger.put_files(made["id"], {"a": b"1"})
    world.logger.put_manifest(made["id"], contents | {"a": {"digest": md5(b"1"), "size": 1}})
    world.logger.commit(made["id"])

    done = world.client.download_artifact(f"{world.path}/ds:v0", tmp_path)

    assert [file.reference for file in done.result.references] == ["s3://bucket/x.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_manifest_is_held_against_the_digest_of_the_version(world, tmp_path):
    names = {"a": md5(b"1")}
    text = "wandb-artifact-manifest-v1\n" + "".join(f"{name}:{digest}\n" for name, digest in names.items())
    world.log("right", {"a": b"1"}, digest=hashlib.md5(text.encode()).hexdigest())
    world.log("wrong", {"a": b"2"})

    assert world.client.download_artifact(f"{world.path}/right:v0", tmp_path / "r").manifest_matches
    assert not world.client.download_artifact(f"{world.path}/wrong:v0", tmp_path / "w").manifest_matches


def fake_download(tmp_path, contents: dict, served: bytes):
    manifest = json.dumps({"version": 1, "contents": contents}).encode()
    link = {"digest": "x", "file": {"directUrl": "manifest"}}
    answer = {"project": {"artifact": version(0, description=None, metadata=None, currentManifest=link)}}
    files = [
        {
            "id": name,
            "name": name,
            "sizeBytes": 1,
            "mimetype": None,
            "md5": None,
            "updatedAt": None,
            "directUrl": "f",
        }
        for name in contents
    ]
    session = Session(FakeTransport(answer, {"artifact": {"files": page(files)}}))
    one = get_artifact_by_name(session, parse_artifact_path(f"{PATH}/net:v0"))
    fetcher = FakeFetcher({"manifest": manifest, "f": served})
    return download_artifact(session, Downloader(fetcher=fetcher), one, tmp_path)


def test_a_file_that_does_not_match_its_manifest_is_an_error(tmp_path):
    with pytest.raises(PartialError, match="checksum mismatch"):
        fake_download(tmp_path, {"w": {"digest": md5(b"right"), "size": 5}}, b"wrong")

    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_climbs_out_of_the_folder_is_refused(tmp_path):
    root = tmp_path / "to"

    with pytest.raises(PartialError, match="leads out of the folder"):
        fake_download(root, {"../evil": {"digest": md5(b"x"), "size": 1}}, b"x")

    assert [path.name for path in tmp_path.iterdir()] == ["to"]


def test_a_digest_of_another_algorithm_is_checked_by_size(tmp_path):
    contents = {"w": {"digest": md5(b"no MD5 of it"), "size": 5, "extra": {"alg": "XXH128"}}}

    done = fake_download(tmp_path, contents, b"right")

    assert [(file.state, file.checked) for file in done.result.files] == [("downloaded", "size")]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"version": 1}', b'{"version": 2, "contents": {}}', b"\xff"])
def test_what_is_no_manifest_is_said_so(text):
    with pytest.raises(ResultError, match="the manifest of 'net:v0'"):
        parse_manifest(text, "net:v0")


def test_versions_whose_run_is_deleted_are_orphans(world):
    world.run("r1")
    world.run("r2")
    world.log("kept", {"a": b"1"}, runName="r1")
    world.log("orphan", {"a": b"2"}, runName="r2", historyStep=3)
    world.log("by-hand", {"a": b"3"})
    world.delete_run("r2")

    found = {one.version.collection: (one.user, one.sure) for one in world.client.orphans(world.path)}

    assert found == {"orphan": ("admin", True), "by-hand": ("admin", False)}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("acme/vision/net:v3", ArtifactPath("acme", "vision", "net", "v3")),
        ("acme/vision/net", ArtifactPath("acme", "vision", "net", "latest")),
        ("vision/net:best", ArtifactPath("e", "vision", "net", "best")),
        ("net:v0", ArtifactPath("e", "p", "net", "v0")),
        ("wandb-artifact://acme/vision/net:v1", ArtifactPath("acme", "vision", "net", "v1")),
        ("https://wandb.ai/acme/vision/artifacts/model/net/v2", ArtifactPath("acme", "vision", "net", "v2")),
        ("https://wandb.ai/acme/vision/artifacts/model/net", ArtifactPath("acme", "vision", "net", "latest")),
        (
            "https://x/wandb/acme/vision/artifacts/model/net/v2/files",
            ArtifactPath("acme", "vision", "net", "v2"),
        ),
    ],
)
def test_an_artifact_path_is_read(text, path):
    assert parse_artifact_path(text, entity="e", project="p") == path


@pytest.mark.parametrize(
    "text", ["", "a/b/c/d:v1", "a//c:v1", "https://wandb.ai/acme/vision/runs/x", "a/b/c:d:e", "a/b/:v1"]
)
def test_what_is_no_artifact_path_is_refused(text):
    with pytest.raises(UsageError, match="artifact path"):
        parse_artifact_path(text)
