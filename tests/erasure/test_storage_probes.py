"""A place that is empty proves something only where another place is not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from wbgql.erasure.verifying.storage_probes import FsspecProbe, Thing
from wbgql.errors import ConfigError, StoreError, UsageError
from wbgql.paths import ProjectPath

VISION = ProjectPath("acme", "vision")
TEMPLATE = "memory://bucket/{entity}/{project}/{run_id}/"


class Versioned(MemoryFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """A file system that keeps what was deleted, as an S3 bucket with versions does."""

    protocol = "versioned"
    store: ClassVar[dict[str, Any]] = {}
    kept: ClassVar[list[str]] = []

    def __init__(self, *, version_aware: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.version_aware = version_aware

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("versioned://")))

    def object_version_info(self, path: str) -> list[dict[str, str]]:
        found = [{"Key": key} for key in self.kept if key.startswith(path)]
        if not found:
            raise KeyError("Versions")
        return found


class Refusing(MemoryFileSystem):  # type: ignore[misc]  # fsspec is not typed
    protocol = "refusing"

    def find(self, path: str, **_: Any) -> list[str]:
        raise RuntimeError("acme/vision/secret-id: denied")


@pytest.fixture(autouse=True)
def _file_systems() -> Iterator[None]:
    fsspec.register_implementation("versioned", Versioned, clobber=True)
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    MemoryFileSystem.store.clear()
    Versioned.store.clear()
    Versioned.kept.clear()
    yield
    MemoryFileSystem.store.clear()


def _run(run_id: str, project: ProjectPath = VISION) -> Thing:
    return Thing(kind="run", project=project, key=run_id)


def _version(number: int, digest: str = "d") -> Thing:
    key = base64.b64encode(f"Artifact:{number}".encode()).decode()
    return Thing(kind="artifact", project=VISION, key=key, digest=digest)


def _put(url: str) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(b"x")


def test_what_is_there_is_found_and_what_is_not_is_absent_beside_a_live_one():
    _put("memory://bucket/acme/vision/live/output.log")
    _put("memory://bucket/acme/vision/r10/output.log")
    _put("memory://bucket/acme/vision/r2/media/images/a.png")

    sights = FsspecProbe([TEMPLATE]).look([_run("r1"), _run("r2")], [_run("live")])

    assert {thing.key: (sight.seen, sight.where) for thing, sight in sights.things.items()} == {
        "r1": ("absent", ""),
        "r2": ("stored", "current"),
    }
    assert not sights.complete
    assert sights.limits == ["memory: versions of objects that are not current were not looked at"]


def test_an_empty_place_proves_nothing_where_the_live_run_is_not_there_either():
    sights = FsspecProbe([TEMPLATE]).look([_run("r1")], [_run("live")])

    assert [sight.seen for sight in sights.things.values()] == ["not_looked_at"]
    assert not sights.complete
    assert "proves nothing" in sights.limits[-1]


def test_each_project_needs_a_live_run_of_its_own():
    other = ProjectPath("acme", "text")
    _put("memory://bucket/acme/vision/live/output.log")

    sights = FsspecProbe([TEMPLATE]).look([_run("r1"), _run("r1", other)], [_run("live")])

    assert [sight.seen for sight in sights.things.values()] == ["absent", "not_looked_at"]


def test_versions_need_a_template_of_their_own():
    _put("memory://bucket/acme/vision/live/output.log")
    _put("memory://bucket/wandb_artifacts/7/manifest.json")
    _put("memory://bucket/wandb_artifacts/8/manifest.json")
    things, alive = [_run("r1"), _version(8), _version(9)], [_run("live"), _version(7)]

    without = FsspecProbe([TEMPLATE]).look(things, alive)
    with_one = FsspecProbe([TEMPLATE, "memory://bucket/wandb_artifacts/{artifact_number}"]).look(
        things, alive
    )

    assert [sight.seen for sight in without.things.values()] == ["absent", "not_looked_at", "not_looked_at"]
    assert [sight.seen for sight in with_one.things.values()] == ["absent", "stored", "absent"]


def test_versions_of_objects_that_are_not_current_are_found_where_the_store_knows_them():
    _put("versioned://bucket/acme/vision/live/output.log")
    Versioned.kept += ["/bucket/acme/vision/r1/output.log", "/bucket/acme/vision/r20/output.log"]
    template = TEMPLATE.replace("memory", "versioned")

    sights = FsspecProbe([template]).look([_run("r1"), _run("r2")], [_run("live")])

    assert {thing.key: (sight.seen, sight.where) for thing, sight in sights.things.items()} == {
        "r1": ("stored", "not current"),
        "r2": ("absent", ""),
    }
    assert (sights.complete, sights.limits) == (True, [])


def test_a_folder_of_this_machine(tmp_path: Path):
    (tmp_path / "acme" / "vision" / "live").mkdir(parents=True)
    (tmp_path / "acme" / "vision" / "live" / "a").write_bytes(b"x")

    sights = FsspecProbe([f"file://{tmp_path}/{{entity}}/{{project}}/{{run_id}}"]).look(
        [_run("r1")], [_run("live")]
    )

    assert [sight.seen for sight in sights.things.values()] == ["absent"]


@pytest.mark.parametrize(
    "template",
    [
        "memory://bucket/",
        "memory://{entity}/{project}",
        "memory://{run_id}/{secret}",
        "memory://{run_id",
        "s3://{run_id}/{digest}",
    ],
)
def test_a_template_that_names_no_run_or_version_is_refused(template):
    with pytest.raises(UsageError, match="template"):
        FsspecProbe([template])


def test_a_store_that_cannot_be_read_is_told_without_a_name():
    probe = FsspecProbe(["refusing://bucket/{run_id}"])

    with pytest.raises(StoreError, match="RuntimeError") as error:
        probe.look([_run("secret-id")], [_run("live")])

    assert "secret" not in str(error.value)


def test_a_file_system_that_is_not_installed_or_not_known_is_told():
    with pytest.raises(ConfigError, match="no file system"):
        FsspecProbe(["nowhere://{run_id}"]).look([_run("r1")], [])
    with pytest.raises(ConfigError, match="s3fs"):
        FsspecProbe(["s3://bucket/{run_id}"]).look([_run("r1")], [])
