"""Storage: bytes by owner, shared content once, and what was not seen said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeTransport, error_reply, page
from tests.stored import FakeFetcher, collection, version
from wbgql.downloads import Downloader
from wbgql.errors import NotFound, ServerUnavailable, UsageError
from wbgql.paths import ProjectPath
from wbgql.storage import RUN_FILES, measure_storage
from wbgql.storage.counting import Content, Tally
from wbgql.storage.reading import iter_run_bytes
from wbgql.wire.session import Session

PATH = ProjectPath("acme", "vision")
OWNED = st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 8), max_size=5)), max_size=8)


def fill(world) -> None:
    """Two runs with files; `ds` by r1 (10 + 20 bytes) and `net` by r2 (the same 20 bytes, and 5)."""
    for name, size in (("r1", 100), ("r2", 50)):
        world.run(name)
        world.store(name, {"output.log": bytes(size)})
    world.log("ds", {"own": b"a" * 10, "shared": b"s" * 20}, runName="r1")
    world.log("net", {"shared": b"s" * 20, "w": b"b" * 5}, runName="r2", artifactTypeName="model")


def by_key(storage) -> dict:
    return {row.key: row for row in storage.rows}


def test_shared_content_is_in_each_row_and_once_in_the_total(world):
    fill(world)

    storage = world.client.storage(world.path, by="run")

    rows = by_key(storage)
    first, second = rows[f"{world.path}/r1"], rows[f"{world.path}/r2"]
    assert (first.run_file_bytes, first.artifact_bytes, first.stored_bytes, first.exclusive_bytes) == (
        100,
        30,
        30,
        10,
    )
    assert (second.run_file_bytes, second.artifact_bytes, second.stored_bytes, second.exclusive_bytes) == (
        50,
        25,
        25,
        5,
    )
    assert (storage.total.stored_bytes, storage.total.artifact_bytes) == (35, 55)
    assert storage.total.total_bytes == 185
    assert storage.coverage.complete


@pytest.mark.parametrize("by", ["user", "project", "type", "run"])
def test_every_grouping_has_the_same_total(world, by):
    fill(world)

    storage = world.client.storage(world.path, by=by)

    assert (storage.total.total_bytes, storage.total.runs, storage.total.versions) == (185, 2, 2)
    assert sum(row.run_file_bytes for row in storage.rows) == 150


def test_rows_by_type_keep_run_files_apart(world):
    fill(world)

    rows = by_key(world.client.storage(world.path, by="type"))

    assert set(rows) == {RUN_FILES, "dataset", "model"}
    assert rows[RUN_FILES].run_file_bytes == 150


def test_it_takes_few_requests_and_one_download_for_each_version(world):
    fill(world)
    before = world.client.stats.requests

    world.client.storage(world.path)

    assert world.client.stats.requests - before == 3  # runs, versions, the project's meter


def test_without_manifests_every_version_counts_in_full_and_that_is_said(world):
    fill(world)

    storage = world.client.storage(world.path, manifests=False)

    assert storage.total.stored_bytes == 55
    assert not storage.coverage.complete


def test_listing_the_files_gives_what_the_meter_gives(world):
    fill(world)

    storage = world.client.storage(world.path, list_files=True)

    assert storage.total.run_file_bytes == 150
    assert storage.total.run_files == 2


def test_references_are_counted_apart(world):
    made = world.logger.create("ds", {})
    world.logger.put_manifest(made["id"], {"x": {"digest": "etag", "ref": "s3://bucket/x", "size": 7}})
    world.logger.commit(made["id"])

    total = world.client.storage(world.path).total

    assert (total.stored_bytes, total.reference_bytes) == (0, 7)


def test_projects_are_named_by_a_pattern(world):
    fill(world)

    storage = world.client.storage(f"admin/{world.project[:-1]}[{world.project[-1]}]", by="project")

    assert [row.key for row in storage.rows] == [world.path]


def test_a_project_that_is_not_visible_is_in_the_coverage(world):
    fill(world)

    storage = world.client.storage([world.path, "admin/no-such-project"])

    assert list(storage.coverage.not_visible) == ["admin/no-such-project"]
    assert storage.coverage.read == [world.path]
    assert not storage.coverage.complete


def test_nothing_visible_at_all_is_an_error(world):
    with pytest.raises(NotFound, match="no-such-project"):
        world.client.storage("admin/no-such-project")
    with pytest.raises(NotFound, match="matches 'zzz"):
        world.client.storage("admin/zzz*")


def test_what_the_meter_says_stands_beside_what_was_counted(world):
    fill(world)

    coverage = world.client.storage(world.path).coverage

    assert coverage.counted_bytes == {world.path: 185}
    assert coverage.metered_bytes == {world.path: 150}


@pytest.mark.parametrize("paths", [["admin/x"], []])
def test_a_question_that_cannot_be_meant_is_refused(paths):
    downloader = Downloader(fetcher=FakeFetcher({}))

    with pytest.raises(UsageError):
        measure_storage(
            Session(FakeTransport()),
            downloader,
            [ProjectPath("admin", "x")] if paths else [],
            by="colour" if paths else "user",
        )


def test_a_manifest_that_cannot_be_read_leaves_the_versions_size_and_is_said():
    link = {"digest": "x", "file": {"directUrl": "gone"}}
    node = version(0, size=42, currentManifest=link)
    transport = FakeTransport(
        {"project": {"runs": page([]) | {"totalCount": 0}}},
        {"project": {"artifactCollections": page([collection("net", [node])])}},
        {"project": {"storageBytes": 0, "runCount": 2}},
    )

    storage = measure_storage(Session(transport), Downloader(fetcher=FakeFetcher({})), [PATH], by="type")

    assert storage.total.stored_bytes == 42
    assert list(storage.coverage.unread) == ["acme/vision/net:v0"]
    assert storage.coverage.missed_runs == {"acme/vision": 2}


def test_a_server_without_a_meter_has_its_files_listed():
    file = {
        "id": "f",
        "name": "f",
        "sizeBytes": 9,
        "mimetype": None,
        "md5": None,
        "updatedAt": None,
        "directUrl": "u",
    }
    node = {"id": "r", "name": "r", "user": {"username": "ann"}, "files": page([file])}
    transport = FakeTransport(
        error_reply('Cannot query field "storageBytes" on type "Run".', status=400),
        {"project": {"runs": page([{**node, "fileCount": 7}])}},
        {"project": {"runs": page([node])}},
    )

    (found,) = iter_run_bytes(Session(transport), PATH)

    assert (found.user, found.files, found.size_bytes) == ("ann", 1, 9)


def test_another_error_of_the_server_is_not_taken_for_a_missing_meter():
    transport = FakeTransport(*[error_reply("internal", status=500)] * 3)

    with pytest.raises(ServerUnavailable, match="internal"):
        list(iter_run_bytes(Session(transport), PATH))


def test_storage_becomes_arrow_with_the_same_columns_for_none(world):
    fill(world)
    full = world.client.storage(world.path, by="run").to_arrow()

    assert full.num_rows == 2
    assert str(full.schema.field("key").type) == "string"
    assert sum(full["stored_bytes"].to_pylist()) == 55


@given(OWNED)
def test_rows_and_total_agree_with_plain_sets(owned):
    tally = Tally()
    for key, contents in owned:
        listed = [Content(str(one), one) for one in contents]
        tally.add_version(key, size_bytes=sum(contents), contents=listed)
    held = {key: {one for owner, contents in owned if owner == key for one in contents} for key, _ in owned}

    rows = {row.key: row for row in tally.rows()}

    assert {key: row.stored_bytes for key, row in rows.items()} == {
        key: sum(own) for key, own in held.items()
    }
    for key, own in held.items():
        others = set().union(*(held[other] for other in held if other != key))
        assert rows[key].exclusive_bytes == sum(own - others)
    assert tally.total.stored_bytes == sum(set().union(*held.values()))
