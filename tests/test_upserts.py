"""Changing runs: read before and after, refused while a logger would overwrite it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fakes import FakeTransport
from wbgql.errors import NotFound, PartialError, ServerUnavailable, StillLogging, UsageError
from wbgql.paths import RunPath
from wbgql.session import Session
from wbgql.upserts import add_tags, remove_tags, set_config, set_summary, set_tags, upsert_run

PATH = RunPath("acme", "vision", "r1")


def run(
    *,
    state: str = "finished",
    tags: list[str] | None = None,
    config: dict[str, Any] | None = None,
    summary: dict[str, Any] | str | None = None,
    **more: Any,
) -> dict[str, Any]:
    node = {
        "id": "S-r1",
        "name": "r1",
        "displayName": "old",
        "state": state,
        "tags": tags or [],
        "group": None,
        "jobType": None,
        "sweepName": None,
        "createdAt": "2026-01-01T00:00:00Z",
        "heartbeatAt": None,
        "user": {"username": "ada"},
        "notes": None,
        "config": json.dumps(config or {}),
        "summaryMetrics": summary if isinstance(summary, str) else json.dumps(summary or {}),
        **more,
    }
    return {"project": {"run": node}}


MISSING: dict[str, Any] = {"project": {"run": None}}


def done(*, inserted: bool = False) -> dict[str, Any]:
    return {"upsertBucket": {"inserted": inserted, "run": {"id": "S-r1", "name": "r1"}}}


def test_a_new_run_is_named_by_its_path() -> None:
    transport = FakeTransport(
        MISSING,
        done(inserted=True),
        run(displayName="base", config={"lr": {"value": 0.1}}, summary={"acc": 1}),
    )

    upsert = upsert_run(Session(transport), PATH, display_name="base", config={"lr": 0.1}, summary={"acc": 1})

    assert upsert.inserted
    assert transport.sent[1] == (
        "UpsertRun",
        {
            "entity": "acme",
            "project": "vision",
            "name": "r1",
            "displayName": "base",
            "config": '{"lr":{"value":0.1}}',
            "summary": '{"acc":1}',
        },
    )


def test_an_existing_run_is_named_by_its_storage_id_and_only_changes_travel() -> None:
    transport = FakeTransport(run(), done(), run(notes="seen"))

    upsert = upsert_run(Session(transport), PATH, notes="seen")

    assert not upsert.inserted
    assert transport.sent[1] == ("UpsertRun", {"id": "S-r1", "notes": "seen"})


def test_config_keys_are_set_and_the_rest_is_sent_along_untouched() -> None:
    before = {"lr": {"value": 0.1, "desc": "rate"}, "_wandb": {"value": {"t": {"4": "3.11"}}}}
    transport = FakeTransport(run(config=before), done(), run(config={**before, "bs": {"value": 32}}))

    after = set_config(Session(transport), PATH, {"bs": 32})

    assert json.loads(transport.sent[1][1]["config"]) == {**before, "bs": {"value": 32}}
    assert after.config == {"lr": 0.1, "bs": 32}


def test_summary_keys_are_set_and_nan_travels_as_the_servers_string() -> None:
    transport = FakeTransport(
        run(summary='{"loss":NaN,"acc":1}'), done(), run(summary={"loss": "NaN", "acc": 2})
    )

    set_summary(Session(transport), PATH, {"acc": 2})

    assert transport.sent[1][1]["summary"] == '{"loss":"NaN","acc":2}'


def test_setting_nan_is_checked_against_the_string_it_is_stored_as() -> None:
    transport = FakeTransport(run(), done(), run(summary={"loss": "NaN"}))

    assert set_summary(Session(transport), PATH, {"loss": float("nan")}).summary == {"loss": "NaN"}


def test_tags_are_added_and_removed_in_place() -> None:
    transport = FakeTransport(run(tags=["a", "b"]), done(), run(tags=["a", "b", "c"]))
    assert add_tags(Session(transport), PATH, "b", "c").tags == ("a", "b", "c")
    assert transport.sent[1][1] == {"id": "S-r1", "tags": ["a", "b", "c"]}

    transport = FakeTransport(run(tags=["a", "b"]), done(), run(tags=["b"]))
    assert remove_tags(Session(transport), PATH, "a", "zzz").tags == ("b",)
    assert transport.sent[1][1] == {"id": "S-r1", "tags": ["b"]}


def test_the_last_tag_can_be_removed() -> None:
    transport = FakeTransport(run(tags=["a"]), done(), run(tags=[]))

    assert set_tags(Session(transport), PATH, []).tags == ()
    assert transport.sent[1][1] == {"id": "S-r1", "tags": []}


def test_tags_that_are_as_asked_send_no_mutation() -> None:
    transport = FakeTransport(run(tags=["a"]))

    add_tags(Session(transport), PATH, "a")

    assert [name for name, _ in transport.sent] == ["GetRun"]


@pytest.mark.parametrize("state", ["running", "preempting"])
def test_a_run_that_is_still_logged_is_refused_unless_forced(state: str) -> None:
    transport = FakeTransport(run(state=state))
    with pytest.raises(StillLogging, match="overwrites"):
        add_tags(Session(transport), PATH, "x")
    assert [name for name, _ in transport.sent] == ["GetRun"]

    forced = FakeTransport(run(state=state), done(), run(state=state, tags=["x"]))
    assert add_tags(Session(forced), PATH, "x", force=True).tags == ("x",)


def test_a_change_that_did_not_stay_is_told() -> None:
    transport = FakeTransport(run(), done(), run(tags=["other"], config={"lr": {"value": 9}}))

    with pytest.raises(PartialError, match=r"tags, config\['lr'\]") as caught:
        upsert_run(Session(transport), PATH, tags=["x"], config={"lr": 1})

    assert caught.value.failed == ("tags", "config['lr']")


def test_a_server_that_reorders_tags_is_no_failure() -> None:
    transport = FakeTransport(run(), done(), run(tags=["b", "a"]))

    set_tags(Session(transport), PATH, ["a", "b"])

    assert len(transport.sent) == 3


def test_changing_a_missing_run_is_an_error_and_makes_none() -> None:
    transport = FakeTransport(MISSING)

    with pytest.raises(NotFound):
        set_config(Session(transport), PATH, {"a": 1})
    assert len(transport.sent) == 1


@pytest.mark.parametrize("tags", ["nightly", [""], [" "], [3]])
def test_tags_that_cannot_be_meant_are_refused(tags: Any) -> None:
    transport = FakeTransport(run())

    with pytest.raises(UsageError):
        set_tags(Session(transport), PATH, tags)
    assert "UpsertRun" not in [name for name, _ in transport.sent]


def test_a_value_without_a_json_form_is_refused_before_it_is_sent() -> None:
    transport = FakeTransport(run())

    with pytest.raises(UsageError, match="no JSON form"):
        set_config(Session(transport), PATH, {"when": object()})
    assert len(transport.sent) == 1


LOST = ServerUnavailable("bad gateway", status=502)


def sends(transport: FakeTransport) -> int:
    return [name for name, _ in transport.sent].count("UpsertRun")


def test_a_change_whose_answer_was_lost_is_read_and_not_sent_again() -> None:
    transport = FakeTransport(run(), LOST, run(tags=["x"]))

    assert set_tags(Session(transport), PATH, ["x"]).tags == ("x",)
    assert sends(transport) == 1


def test_a_change_that_was_surely_not_applied_is_sent_once_more() -> None:
    taken = FakeTransport(run(), LOST, run(), done(), run(tags=["x"]))
    never = FakeTransport(run(), LOST, run(), LOST, run())

    assert set_tags(Session(taken), PATH, ["x"]).tags == ("x",)
    with pytest.raises(ServerUnavailable, match="bad gateway"):
        set_tags(Session(never), PATH, ["x"])
    assert (sends(taken), sends(never)) == (2, 2)


def test_a_run_that_was_not_made_is_made_by_the_second_request() -> None:
    transport = FakeTransport(MISSING, LOST, MISSING, done(inserted=True), run(displayName="base"))

    assert upsert_run(Session(transport), PATH, display_name="base").inserted
    assert sends(transport) == 2


def test_what_another_wrote_meanwhile_is_never_overwritten_by_a_second_request() -> None:
    transport = FakeTransport(run(), LOST, run(tags=["theirs"], notes="x"))

    with pytest.raises(PartialError, match="tags"):
        upsert_run(Session(transport), PATH, tags=["x"], notes="x")
    assert sends(transport) == 1
