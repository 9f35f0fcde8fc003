"""Changing runs: read before and after, refused while a logger would overwrite it."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest

from tests.fakes import FakeTransport
from wbgql.errors import (
    NotFound,
    PartialError,
    ResponseError,
    ServerUnavailable,
    StillLogging,
    UnknownKeyWarning,
    UsageError,
)
from wbgql.paths import RunPath
from wbgql.upserts import (
    add_tags,
    remove_tags,
    set_config,
    set_summary,
    set_tags,
    unset_config,
    unset_summary,
    upsert_run,
)
from wbgql.wire.session import Session

PATH = RunPath("acme", "vision", "r1")
NAMED = {"id": "S-r1", "entity": "acme", "project": "vision", "name": "r1"}


def patient(transport: FakeTransport) -> Session:
    """A session that waits no time between its reads."""
    return Session(transport, sleep=lambda _seconds: None)


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


def done(
    *, inserted: bool = False, id: str = "S-r1", name: str = "r1", project: str | None = "vision"
) -> dict[str, Any]:
    home = project and {"name": project, "entity": {"name": "acme"}}
    return {"upsertBucket": {"inserted": inserted, "run": {"id": id, "name": name, "project": home}}}


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
    assert transport.sent[1] == ("UpsertRun", NAMED | {"notes": "seen"})


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

    summary = set_summary(Session(transport), PATH, {"loss": float("nan")}).summary

    assert math.isnan(summary["loss"])


def test_tags_are_added_and_removed_in_place() -> None:
    transport = FakeTransport(run(tags=["a", "b"]), done(), run(tags=["a", "b", "c"]))
    assert add_tags(Session(transport), PATH, "b", "c").tags == ("a", "b", "c")
    assert transport.sent[1][1] == NAMED | {"tags": ["a", "b", "c"]}

    transport = FakeTransport(run(tags=["a", "b"]), done(), run(tags=["b"]))
    assert remove_tags(Session(transport), PATH, "a", "zzz").tags == ("b",)
    assert transport.sent[1][1] == NAMED | {"tags": ["b"]}


def test_the_last_tag_can_be_removed() -> None:
    transport = FakeTransport(run(tags=["a"]), done(), run(tags=[]))

    assert set_tags(Session(transport), PATH, []).tags == ()
    assert transport.sent[1][1] == NAMED | {"tags": []}


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
    after = run(tags=["other"], config={"lr": {"value": 9}}, notes="new")
    transport = FakeTransport(run(), done(), after, after, after)

    with pytest.raises(PartialError, match=r'tags, config\["lr"\]; notes was applied') as caught:
        upsert_run(patient(transport), PATH, tags=["x"], config={"lr": 1}, notes="new")

    assert (caught.value.done, caught.value.failed) == (("notes",), ("tags", 'config["lr"]'))


def test_a_change_that_a_replica_shows_late_is_no_failure() -> None:
    transport = FakeTransport(run(), done(), run(), run(tags=["x"]))

    assert set_tags(patient(transport), PATH, ["x"]).tags == ("x",)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        (done(inserted=True, id="2", name="S-r1"), "acme/vision/S-r1"),
        (done(inserted=True, id="2", name="S-r1", project="default"), "acme/default/S-r1"),
        (done(inserted=True, id="2", name="S-r1", project=None), "S-r1"),
        (done(id="2", project=None), "r1"),
    ],
)
def test_a_server_that_writes_to_another_run_is_an_error_that_names_it(answer: Any, where: str) -> None:
    transport = FakeTransport(run(), answer, run(), run(), run())

    with pytest.raises(PartialError, match=f"wrote to run '{where}'.*shows: nothing was changed") as caught:
        set_tags(patient(transport), PATH, ["x"])

    assert (caught.value.done, caught.value.failed) == ((where,), ("acme/vision/r1",))
    assert sends(transport) == 1


def test_a_storage_id_that_names_another_run_is_refused() -> None:
    other = base64.b64encode(b"Run:v1:r2:vision:acme").decode()
    transport = FakeTransport(run(id=other))

    with pytest.raises(UsageError, match="names 'acme/vision/r2'"):
        set_tags(Session(transport), PATH, ["x"])
    assert sends(transport) == 0


def test_a_run_that_was_replaced_meanwhile_is_not_taken_for_the_one_that_was_changed() -> None:
    transport = FakeTransport(run(), done(), run(id="S-other", tags=["x"]))

    with pytest.raises(ResponseError, match="another storage id") as caught:
        set_tags(patient(transport), PATH, ["x"])
    assert caught.value.maybe_applied


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
    assert transport.sent == []


LOST = ServerUnavailable("bad gateway", status=502)


def sends(transport: FakeTransport) -> int:
    return [name for name, _ in transport.sent].count("UpsertRun")


def test_a_change_whose_answer_was_lost_is_read_and_not_sent_again() -> None:
    transport = FakeTransport(run(), LOST, run(tags=["x"]))

    assert set_tags(Session(transport), PATH, ["x"]).tags == ("x",)
    assert sends(transport) == 1


def test_a_change_that_was_surely_not_applied_is_sent_once_more() -> None:
    taken = FakeTransport(run(), LOST, *[run()] * 3, done(), run(tags=["x"]))
    never = FakeTransport(run(), LOST, *[run()] * 3, LOST, *[run()] * 3)

    assert set_tags(patient(taken), PATH, ["x"]).tags == ("x",)
    with pytest.raises(ServerUnavailable, match="bad gateway") as caught:
        set_tags(patient(never), PATH, ["x"])
    assert caught.value.__notes__ == ["a read after it shows that the server did not apply it"]
    assert (sends(taken), sends(never)) == (2, 2)


def test_a_run_that_was_not_made_is_made_by_the_second_request() -> None:
    transport = FakeTransport(MISSING, LOST, *[MISSING] * 3, done(inserted=True), run(displayName="base"))

    assert upsert_run(patient(transport), PATH, display_name="base").inserted
    assert sends(transport) == 2


def test_what_another_wrote_meanwhile_is_never_overwritten_by_a_second_request() -> None:
    transport = FakeTransport(run(), LOST, *[run(tags=["theirs"], notes="x")] * 3)

    with pytest.raises(PartialError, match="tags"):
        upsert_run(patient(transport), PATH, tags=["x"], notes="x")
    assert sends(transport) == 1


# What is kept, what is lost


def test_a_key_that_is_set_keeps_its_description() -> None:
    before = {"lr": {"value": 0.1, "desc": "rate"}, "plain": 3}
    after = {"lr": {"value": 0.2, "desc": "rate"}, "plain": {"value": 4}}
    transport = FakeTransport(run(config=before), done(), run(config=after))

    set_config(Session(transport), PATH, {"lr": 0.2, "plain": 4})

    assert json.loads(transport.sent[1][1]["config"]) == after


MODEL = {"model": {"value": {"depth": 2, "width": 5, "head": {"bias": True, "act": "relu"}}}}


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ({"depth": 3}, "'width', 'head'"),
        (3, "'depth'"),
        ({**MODEL["model"]["value"], "head": {"bias": 1}}, "'head'"),
    ],
)
def test_a_value_that_drops_keys_of_an_object_is_refused_unless_it_may_replace_it(
    value: Any, lost: str
) -> None:
    refused = FakeTransport(run(config=MODEL))
    with pytest.raises(UsageError, match=rf'config\["model"\] .*drops {lost}.*--replace'):
        set_config(Session(refused), PATH, {"model": value})
    assert sends(refused) == 0

    after = {"model": {"value": value}}
    replaced = FakeTransport(run(config=MODEL), done(), run(config=after))
    set_config(Session(replaced), PATH, {"model": value}, replace=True)
    assert json.loads(replaced.sent[1][1]["config"]) == after


def test_a_tuple_sets_a_key_inside_an_object_and_keeps_the_others() -> None:
    after = {
        "model": {"value": {"depth": 3, "width": 5, "head": {"bias": True, "act": "gelu"}}},
        "a": {"value": {"b": 1}},
    }
    transport = FakeTransport(run(config=MODEL), done(), run(config=after))

    set_config(
        Session(transport), PATH, {("model", "depth"): 3, ("model", "head", "act"): "gelu", ("a", "b"): 1}
    )

    assert json.loads(transport.sent[1][1]["config"]) == after


def test_a_path_into_a_value_that_is_no_object_is_refused() -> None:
    with pytest.raises(UsageError, match=r'config\["lr"\] is no object'):
        set_config(Session(FakeTransport(run(config={"lr": {"value": 0.1}}))), PATH, {("lr", "max"): 1})


def test_keys_are_removed_and_the_rest_stays() -> None:
    before = {"person": {"value": "x"}, "keep": {"value": 1, "desc": "d"}, "_wandb": {"value": {"t": 1}}}
    after = {"keep": before["keep"], "_wandb": before["_wandb"]}
    config = FakeTransport(run(config=before), done(), run(config=after))
    summary = FakeTransport(
        run(summary={"a": {"b": 1, "c": 2}, "n": 1}), done(), run(summary={"a": {"c": 2}})
    )

    assert unset_config(Session(config), PATH, "person").config == {"keep": 1}
    assert unset_summary(Session(summary), PATH, "n", ("a", "b")).summary == {"a": {"c": 2}}

    assert json.loads(config.sent[1][1]["config"]) == after
    assert json.loads(summary.sent[1][1]["summary"]) == {"a": {"c": 2}}


def test_the_last_key_can_be_removed() -> None:
    transport = FakeTransport(run(config={"person": {"value": None}}), done(), run())

    unset_config(Session(transport), PATH, "person")

    assert transport.sent[1][1]["config"] == "{}"


def test_a_key_that_is_still_there_after_its_removal_is_an_error() -> None:
    before = {"person": {"value": None}}
    transport = FakeTransport(run(config=before), done(), *[run(config=before)] * 3)

    with pytest.raises(PartialError, match=r'config\["person"\]'):
        unset_config(patient(transport), PATH, "person")


def test_null_is_a_value_and_not_a_removal() -> None:
    stored = FakeTransport(run(), done(), run(config={"x": {"value": None}}))
    assert set_config(Session(stored), PATH, {"x": None}).config == {"x": None}

    dropped = FakeTransport(run(), done(), *[run()] * 3)
    with pytest.raises(PartialError):
        set_config(patient(dropped), PATH, {"x": None})


def test_a_key_to_remove_that_is_not_there_names_near_ones() -> None:
    transport = FakeTransport(
        run(config={"person": {"value": 1}}), done(), run(config={"person": {"value": 1}})
    )

    with pytest.warns(
        UnknownKeyWarning, match=r"has no config\[\"persn\"\] to remove; did you mean 'person'\?"
    ):
        unset_config(Session(transport), PATH, "persn")


def test_an_empty_text_clears_an_attribute_whatever_the_server_makes_of_it() -> None:
    for after in (None, ""):
        transport = FakeTransport(
            run(group="g", notes="n", jobType="j"),
            done(),
            run(group=after, notes=after, jobType=after, displayName="r1"),
        )
        upsert_run(Session(transport), PATH, group="", notes="", job_type="", display_name="")
        cleared = {"group": "", "notes": "", "jobType": "", "displayName": ""}
        assert transport.sent[1][1] == NAMED | cleared

    kept = FakeTransport(run(group="g"), done(), *[run(group="g")] * 3)
    with pytest.raises(PartialError, match="group"):
        upsert_run(patient(kept), PATH, group="")


@pytest.mark.parametrize(
    ("state", "hint"), [("done", "known are running, finished"), ("finish", "write 'finished'")]
)
def test_a_state_that_wandb_does_not_have_is_refused_before_anything_is_sent(state: str, hint: str) -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError, match=f"no such state, {hint}"):
        upsert_run(Session(transport), PATH, state=state)
    assert transport.sent == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"config": {"_wandb": {"t": 1}}},
        {"unset_config": ["_wandb"]},
        {"config": {"": 1}},
        {"config": {(): 1}},
        {"config": {3: 1}},
        {"unset_config": "person"},
        {"unset_config": [["a", "b"]]},
        {"config": {"a": 1}, "unset_config": ["a"]},
        {"config": {("a", "b"): 1}, "unset_config": ["a"]},
        {"summary": {"a": object()}},
    ],
)
def test_a_change_that_cannot_be_meant_is_refused_before_anything_is_sent(wanted: dict[str, Any]) -> None:
    transport = FakeTransport()

    with pytest.raises(UsageError):
        upsert_run(Session(transport), PATH, **wanted)
    assert transport.sent == []


def test_values_are_compared_as_they_are_stored() -> None:
    after = {"m": {"value": {"1": [1, 2]}}, "flag": {"value": True}}
    transport = FakeTransport(run(), done(), run(config=after))

    set_config(Session(transport), PATH, {"m": {1: (1, 2)}, "flag": True})

    changed = FakeTransport(run(), done(), *[run(config={"flag": {"value": 1}})] * 3)
    with pytest.raises(PartialError):
        set_config(patient(changed), PATH, {"flag": True})


def test_an_upsert_says_what_it_changed() -> None:
    before = run(config={**MODEL, "same": {"value": 1}}, group="g", tags=["a"])
    after = {
        "model": {"value": {**MODEL["model"]["value"], "depth": 3}},
        "same": {"value": 1},
        "new": {"value": "x"},
    }
    transport = FakeTransport(before, done(), run(config=after, summary={"acc": 1}, tags=["a"]))

    upsert = upsert_run(
        Session(transport),
        PATH,
        group="",
        tags=["a"],
        config={("model", "depth"): 3, "same": 1, "new": "x"},
        summary={"acc": 1},
    )

    assert list(map(str, upsert.changes)) == [
        'group: "g" -> ""',
        'config["model"]["depth"]: 2 -> 3',
        'config["new"]: (none) -> "x"',
        'summary["acc"]: (none) -> 1',
    ]
