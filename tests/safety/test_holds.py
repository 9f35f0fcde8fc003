"""The hold register: what it covers, and that it holds everything when it cannot be read."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import msgspec
import pytest

from wbgql.errors import Held, StoreError, UsageError
from wbgql.paths import RunPath
from wbgql.safety.holds import HOLD_TAG, HoldRegister, HoldTarget, default_register_path, why_held

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TARGET = HoldTarget(entity="acme", project="vision", run_id="r1", tags=("nightly",), user="ada")


@pytest.fixture
def register(tmp_path: Path) -> HoldRegister:
    return HoldRegister(tmp_path / "holds.json")


def add(register: HoldRegister, kind: str, value: str) -> None:
    register.add(kind, value, reason="CASE-17", added_by="ada", now=NOW)


def test_an_absent_default_register_holds_nothing(register: HoldRegister) -> None:
    register.check(TARGET)
    assert register.read() == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [("run", "acme/vision/r1"), ("project", "acme/vision"), ("tag", "nightly"), ("user", "ada")],
)
def test_each_kind_of_hold_covers_its_run(register: HoldRegister, kind: str, value: str) -> None:
    add(register, kind, value)

    with pytest.raises(Held, match=r"H1 \(" + kind + ", CASE-17"):
        register.check(TARGET)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("run", "acme/vision/r2"), ("project", "acme/visionary"), ("tag", "night"), ("user", "grace")],
)
def test_a_hold_on_something_else_lets_the_run_pass(register: HoldRegister, kind: str, value: str) -> None:
    add(register, kind, value)

    register.check(TARGET)
    assert len(register.read()) == 1


MADE = "2025-05-01T10:00:00Z"


@pytest.mark.parametrize(
    ("hold", "target", "held"),
    [
        # (creation time recorded, where the run is now and its creation time, whether it is held)
        (MADE, ("acme", "other", MADE), True),
        (MADE, ("acme", "other", "2025-05-01T10:00:00"), True),
        (MADE, ("eve", "other", MADE), True),
        (MADE, ("acme", "other", "2026-06-01T10:00:00Z"), False),
        (MADE, ("acme", "vision", "2026-06-01T10:00:00Z"), True),
        (MADE, ("acme", "other", None), True),
        (None, ("acme", "other", MADE), True),
        (None, ("eve", "vision", MADE), False),
        (MADE, ("eve", "vision", None), False),
    ],
)
def test_a_hold_follows_a_run_that_is_moved(
    register: HoldRegister, hold: str | None, target: tuple[str, str, str | None], held: bool
) -> None:
    register.add("run", "acme/vision/r1", reason="C", added_by="ada", now=NOW, created_at=hold)
    entity, project, created_at = target
    seen = HoldTarget(entity=entity, project=project, run_id="r1", user="ada", created_at=created_at)

    assert (why_held(register.read(), seen) is not None) == held
    assert why_held(register.read(), msgspec.structs.replace(seen, run_id="r2")) is None


@pytest.mark.parametrize(
    ("hold", "project", "number", "held"),
    [
        (7, "renamed", 7, True),
        (7, "renamed", 8, False),
        (7, "vision", 8, True),
        (7, "renamed", None, True),
        (None, "renamed", 7, False),
    ],
)
def test_a_hold_follows_a_project_that_is_renamed(
    register: HoldRegister, hold: int | None, project: str, number: int | None, held: bool
) -> None:
    register.add("project", "acme/vision", reason="C", added_by="ada", now=NOW, project_id=hold)
    asked = HoldTarget(entity="acme", project=project, run_id="r1", user="ada")
    told = msgspec.structs.replace(asked, project_id=number)

    assert (why_held(register.read(), told) is not None) == held
    assert (why_held(register.read(), asked, lambda _path: number) is not None) == held


def test_a_register_of_today_is_read_and_kept_as_it_is(register: HoldRegister) -> None:
    old = {
        "id": "H1",
        "kind": "run",
        "value": "acme/vision/r1",
        "reason": "C",
        "added_at": "2026-01-01T00:00:00Z",
    }
    content = {"version": 1, "last": 1, "holds": [old | {"added_by": "ada"}]}
    register.path.write_text(json.dumps(content))

    with pytest.raises(Held):
        register.check(HoldTarget(entity="acme", project="elsewhere", run_id="r1", user="ada"))
    add(register, "tag", "x")
    assert json.loads(register.path.read_text())["holds"][0] == content["holds"][0]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_register_is_for_its_owner_alone_whatever_the_umask(register: HoldRegister, umask: int) -> None:
    before = os.umask(umask)
    try:
        add(register, "tag", "x")
        add(register, "tag", "y")
    finally:
        os.umask(before)

    assert stat.S_IMODE(register.path.stat().st_mode) == 0o600


def test_a_register_that_colleagues_may_read_stays_so(register: HoldRegister) -> None:
    add(register, "tag", "x")
    register.path.chmod(0o640)
    add(register, "tag", "y")

    assert stat.S_IMODE(register.path.stat().st_mode) == 0o640


def test_a_run_of_unknown_owner_falls_under_every_hold_by_user(register: HoldRegister) -> None:
    add(register, "user", "grace")

    with pytest.raises(Held):
        register.check(HoldTarget(entity="acme", project="vision", run_id="r1", user=None))


def test_the_tag_alone_holds(register: HoldRegister) -> None:
    with pytest.raises(Held, match=HOLD_TAG):
        register.check(HoldTarget(entity="a", project="b", run_id="c", tags=(HOLD_TAG,)))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version":2,"last":0,"holds":[]}', '{"version":1}', "\x00\xff"]
)
def test_a_damaged_register_holds_everything_and_is_not_written_over(
    register: HoldRegister, content: str
) -> None:
    register.path.write_text(content, encoding="latin-1")

    with pytest.raises(Held, match="cannot be read"):
        register.check(TARGET)
    with pytest.raises(Held):
        add(register, "tag", "x")
    assert register.path.read_text(encoding="latin-1") == content


def test_a_register_that_was_named_and_is_not_there_holds_everything(tmp_path: Path) -> None:
    register = HoldRegister.from_environ({"WBGQL_HOLDS": str(tmp_path / "unmounted" / "holds.json")})

    with pytest.raises(Held, match="it is not there"):
        register.check(TARGET)
    with pytest.raises(Held, match="it is not there"):
        add(register, "tag", "x")
    assert not register.path.parent.exists() or not register.path.exists()


def test_a_named_register_is_made_once_and_then_kept(tmp_path: Path) -> None:
    register = HoldRegister.from_environ({"WBGQL_HOLDS": str(tmp_path / "holds.json")})

    register.create()
    add(register, "tag", "x")

    with pytest.raises(UsageError, match="there already"):
        register.create()
    assert [hold.value for hold in register.read()] == ["x"]


def test_a_register_that_is_a_folder_holds_everything(tmp_path: Path) -> None:
    with pytest.raises(Held, match="cannot be read"):
        HoldRegister(tmp_path).check(TARGET)


def test_release_removes_one_hold_and_ids_are_not_used_twice(register: HoldRegister) -> None:
    for value in ("a", "b", "c"):
        add(register, "tag", value)

    assert register.release("H3").value == "c"
    add(register, "tag", "d")

    assert [(hold.id, hold.value) for hold in register.read()] == [("H1", "a"), ("H2", "b"), ("H4", "d")]


def test_releasing_an_unknown_hold_names_those_that_stand(register: HoldRegister) -> None:
    add(register, "tag", "a")

    with pytest.raises(UsageError, match="held now: H1"):
        register.release("H9")


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("animal", "cat", "X"),
        ("tag", "  ", "X"),
        ("tag", "a", " "),
        ("run", "vision/r1", "X"),
        ("project", "acme/vision/r1", "X"),
    ],
)
def test_a_hold_that_could_never_match_is_refused(
    register: HoldRegister, kind: str, value: str, reason: str
) -> None:
    with pytest.raises(UsageError):
        register.add(kind, value, reason=reason, added_by="ada", now=NOW)
    assert not register.path.exists()


def test_a_register_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError):
        add(HoldRegister(tmp_path / "file" / "holds.json"), "tag", "a")


def _add_many(path: str, worker: int) -> None:
    for number in range(10):
        add(HoldRegister(Path(path)), "tag", f"{worker}-{number}")


def test_processes_that_add_at_once_lose_nothing(register: HoldRegister) -> None:
    context = get_context("spawn")
    workers = [context.Process(target=_add_many, args=(str(register.path), worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    holds = register.read()

    assert len({hold.value for hold in holds}) == 30
    assert len({hold.id for hold in holds}) == 30


def test_the_default_path_is_in_the_configuration_folder_unless_named(tmp_path: Path) -> None:
    assert default_register_path({}).name == "holds.json"
    assert default_register_path({"WBGQL_HOLDS": str(tmp_path)}) == tmp_path


def test_a_link_that_leads_nowhere_holds_everything(tmp_path: Path) -> None:
    register = HoldRegister(tmp_path / "holds.json")
    register.path.symlink_to(tmp_path / "not-mounted" / "holds.json")

    with pytest.raises(Held, match="it is not there"):
        register.check(TARGET)
    with pytest.raises((Held, StoreError)):
        add(register, "tag", "nightly")


def test_a_register_behind_a_link_is_written_where_colleagues_read_it(tmp_path: Path) -> None:
    shared, mine = HoldRegister(tmp_path / "shared.json"), HoldRegister(tmp_path / "mine.json")
    add(shared, "tag", "a")
    shared.path.chmod(0o660)
    mine.path.symlink_to(shared.path)

    add(mine, "tag", "b")

    assert mine.path.is_symlink()
    assert [hold.value for hold in shared.read()] == ["a", "b"]
    assert shared.path.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("run", "https://wandb.ai/acme/vision/runs/r1"),
        ("run", "acme/vision/runs/r1"),
        ("run", "/acme/ vision/r1/"),
        ("project", "https://wandb.ai/acme/vision/table"),
    ],
)
def test_a_hold_is_kept_as_targets_spell_it(register: HoldRegister, kind: str, value: str) -> None:
    add(register, kind, value)

    with pytest.raises(Held):
        register.check(TARGET)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("ada/runs/r1", RunPath("ada", "runs", "r1")),
        ("ada/nlp/run 1", RunPath("ada", "nlp", "run 1")),
        ("ada/nlp/a\nb", RunPath("ada", "nlp", "a\nb")),
        ("ada/%20nlp/50%25", RunPath("ada", " nlp", "50%25")),
    ],
)
def test_every_run_that_a_list_prints_can_be_held(register: HoldRegister, value: str, path: RunPath) -> None:
    add(register, "run", value)

    with pytest.raises(Held):
        register.check(HoldTarget(entity=path.entity, project=path.project, run_id=path.run_id))


@pytest.mark.parametrize(
    ("kind", "value"), [("run", "acme//r1"), ("run", "vision/r1"), ("project", "vision"), ("project", "a//b")]
)
def test_a_hold_that_could_hold_nothing_is_refused(register: HoldRegister, kind: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"a hold by {kind} names entity/project"):
        add(register, kind, value)
    assert register.read() == []
