"""The ledger: outcomes once, the chain whole, nothing half written; the same on SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
import resource
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.erasure.plans import make_plan, planned_artifact, planned_file, planned_run
from tests.forked import call_all_forked, needs_fork
from wbgql.erasure.case.case import open_case
from wbgql.erasure.case.files import create_case, load_key, load_plan, save_case
from wbgql.erasure.ledger import Ledger
from wbgql.erasure.records.actions import RunTags
from wbgql.erasure.records.journal import find_break
from wbgql.errors import ConfigError, Locked, PlanChanged, StoreError, UsageError

from .plans import KEY

PLAN = make_plan(
    planned_run(
        "a", artifacts=[planned_artifact("a1", 3), planned_artifact("a2", 1)], files=[planned_file("f")]
    ),
    planned_run(
        "b",
        artifacts=[planned_artifact("b1", 2), planned_artifact("b2", 0, decision="keep", reason="linked")],
    ),
)
JOB = PLAN.plan_id


@pytest.fixture
def ledger(open_ledger):
    made = open_ledger()
    assert made.create(PLAN, target="t", body={"plan": PLAN.digest})
    return made


def is_whole(ledger: Ledger, job: str = JOB) -> bool:
    return find_break(ledger.entries(job), ledger.head(job)) is None


def test_actions_come_in_the_order_of_execution_over_all_runs(ledger):
    got = [(action.number, action.run_no, action.action_no, action.kind) for action in ledger.actions(JOB)]

    assert got == [
        (0, 0, 0, "run"),
        (1, 1, 0, "run"),
        (2, 0, 2, "artifact"),
        (3, 1, 1, "artifact"),
        (4, 0, 1, "artifact"),
        (5, 0, 3, "file"),
    ]
    assert ledger.ranges(JOB) == {"run": (0, 2, 2), "artifact": (2, 5, 3), "file": (5, 6, 1)}


def test_what_a_plan_says_of_a_thing_comes_back_from_the_ledger(ledger):
    hide, *_, file = ledger.actions(JOB)
    artifact = next(ledger.actions(JOB, 2, 3))

    assert hide.target.storage_id == "storage-a"
    assert artifact.target == PLAN.runs[0].artifacts[1]
    assert artifact.run.id == "a"
    assert file.target == PLAN.runs[0].files[0]


@needs_fork
def test_forked_processes_write_with_connections_of_their_own(ledger):
    def write() -> list[int]:
        return [ledger.next_generation(JOB) for _ in range(10)]

    written = call_all_forked([write] * 4)

    numbers = list(itertools.chain(*written))
    assert len(set(numbers)) == 40
    assert max(numbers) == ledger.job(JOB).generation
    assert is_whole(ledger)


def test_an_outcome_is_set_once(ledger):
    action = next(ledger.actions(JOB))

    assert ledger.intend(JOB, action, "s") == 1
    assert ledger.finish(JOB, action, "hidden", None, "s") is True
    assert ledger.finish(JOB, action, "failed", "late", "s") is False
    (now,) = ledger.actions(JOB, 0, 1)
    assert (now.outcome, now.attempts, now.detail) == ("hidden", 1, None)
    assert [entry.kind for entry in ledger.entries(JOB)] == ["job_created", "intent", "outcome"]
    assert is_whole(ledger)


def test_what_became_of_the_run_is_told_with_its_parts(ledger):
    ledger.finish(JOB, next(ledger.actions(JOB)), "hidden", None, "s")

    assert [action.run_outcome for action in ledger.actions(JOB, 2)] == ["hidden", None, "hidden", "hidden"]


def test_a_stop_is_marked_once(ledger):
    action = next(ledger.actions(JOB))

    assert ledger.mark_stopped(JOB, action, "s") is True
    assert ledger.mark_stopped(JOB, action, "s") is False


def test_making_the_same_job_again_changes_nothing(ledger, open_ledger):
    assert open_ledger().create(PLAN, target="t", body={}) is False
    assert ledger.head(JOB).seq == 1


def test_another_plan_of_the_same_id_is_refused(ledger):
    with pytest.raises(PlanChanged, match="made from plan sha256:"):
        ledger.create(make_plan(planned_run("c")), target="t", body={})


def test_runs_that_came_back_open_a_round_of_their_own(ledger):
    for action in ledger.actions(JOB):
        gone = {"run": "hidden", "artifact": "deleted", "file": "failed"}[action.kind]
        ledger.finish(JOB, action, gone, None, "s")

    assert ledger.reopen(JOB, [0], {"subjects": ["s"]}) == 2

    assert [(a.number, a.run_no, a.kind) for a in ledger.actions(JOB)] == [(0, 0, "run"), (1, 0, "file")]
    assert ledger.counts(JOB) == {
        "run": {"hidden": 1, "open": 1},
        "artifact": {"deleted": 3},
        "file": {"open": 1},
    }
    assert ledger.job(JOB).state == "reopened"
    assert is_whole(ledger)


def test_a_retry_opens_a_round_for_what_has_not_gone(ledger):
    for action in ledger.actions(JOB):
        ledger.finish(JOB, action, "held" if action.run_no == 1 else "deleted", None, "s")

    ledger.retry(JOB, {})

    assert [(a.number, a.run_no, a.kind) for a in ledger.actions(JOB)] == [(0, 1, "run"), (1, 1, "artifact")]
    assert [a.outcome for a in ledger.latest(JOB)] == ["deleted"] * 4 + [None, None]


def test_the_parts_of_a_retry_see_what_became_of_a_run_that_is_not_in_it(ledger):
    for action in ledger.actions(JOB):
        ledger.finish(JOB, action, "hidden" if action.kind == "run" else "failed", None, "s")

    ledger.retry(JOB, {})

    assert {action.run_outcome for action in ledger.actions(JOB)} == {"hidden"}


def test_closing_leaves_no_row_with_an_id(ledger, database, tmp_path):
    ledger.add_verification(
        JOB, "verify", "hidden", {"equal_reads": 3}, note="verified", body={"verdict": "hidden"}
    )
    ledger.destroy(JOB, {})

    assert list(ledger.actions(JOB)) == []
    assert ledger.job(JOB).plan is None
    assert ledger.job(JOB).state == "closed"
    assert is_whole(ledger)
    assert [found.verdict for found in ledger.verifications(JOB)] == ["hidden"]
    if database.startswith("sqlite"):
        bytes_left = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.sqlite*"))
        assert b"storage-a" not in bytes_left


def test_what_is_due_is_noted_once_and_ticked_off(ledger):
    for due_at in ("2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-02T00:00:00Z"):
        ledger.set_due(JOB, "verify", due_at)
    ledger.set_done(JOB, "2026-01-03T00:00:00Z")

    assert ledger.due(JOB) == [("2026-01-09T00:00:00Z", "verify")]


def test_writers_at_once_leave_one_whole_chain(ledger, open_ledger):
    others = [open_ledger() for _ in range(3)]

    def write(mine: Ledger) -> None:
        for _ in range(10):
            mine.note(JOB, "note", {})

    threads = [threading.Thread(target=write, args=(mine,)) for mine in (ledger, ledger, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ledger.head(JOB).seq == 51
    assert is_whole(ledger)


def test_a_race_for_one_outcome_has_one_winner(ledger, open_ledger):
    action = next(ledger.actions(JOB))
    ledgers = [open_ledger() for _ in range(4)]
    won: list[bool] = []

    def finish(mine: Ledger) -> None:
        won.append(mine.finish(JOB, action, "hidden", None, "s"))

    threads = [threading.Thread(target=finish, args=(mine,)) for mine in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(won) == [False, False, False, True]


def test_a_worker_that_was_taken_for_dead_is_shut_out(ledger, open_ledger):
    action = next(ledger.actions(JOB))
    assert ledger.claim(JOB, 1, 0, 2, "first") == 1
    ledger.intend(JOB, action, "s", owner="first")

    assert open_ledger().claim(JOB, 1, 0, 2, "second") == 2

    with pytest.raises(Locked, match="took this over"):
        ledger.intend(JOB, action, "s", owner="first")
    assert ledger.mark_stopped(JOB, action, "s", owner="first") is False
    assert ledger.finish(JOB, action, "hidden", None, "s", owner="first") is False
    assert ledger.finish(JOB, action, "hidden", None, "s", owner="second") is True
    assert is_whole(ledger)


def test_claims_are_counted_for_each_generation(ledger):
    assert [ledger.claim(JOB, 1, 0, 2, "w") for _ in range(3)] == [1, 2, 3]
    assert ledger.claim(JOB, 2, 0, 2, "w") == 1


def test_tags_are_kept_for_the_holds_that_may_come(ledger):
    action = next(ledger.actions(JOB))
    tags = RunTags.of(["b", "a"], KEY, "s")
    ledger.intend(JOB, action, "s", tags=tags)

    assert next(ledger.actions(JOB, 2, 3)).run_tags == tags
    assert tags.tags == ["a", "b"]
    assert next(ledger.actions(JOB, 3, 4)).run_tags is None
    assert list(ledger.entries(JOB))[-1].body["tags"] == tags.seal


def test_a_run_without_tags_is_not_one_that_nobody_read(ledger):
    action = next(ledger.actions(JOB))
    none = RunTags.of([], KEY, "s")
    ledger.intend(JOB, action, "s", tags=none)

    assert next(ledger.actions(JOB, 2, 3)).run_tags == none
    none.check(KEY, "s")
    for forged in (RunTags(tags=["a"], seal=none.seal), RunTags(tags=[], seal="0" * 64)):
        with pytest.raises(StoreError, match="somebody changed the ledger"):
            forged.check(KEY, "s")
    with pytest.raises(StoreError, match="somebody changed the ledger"):
        none.check(KEY, "another run")
    ledger.finish(JOB, action, "failed", None, "s")
    ledger.retry(JOB, {})
    assert next(ledger.actions(JOB)).run_tags == none
    ledger.reopen(JOB, [0], {"subjects": []})
    assert next(ledger.latest(JOB)).run_tags is None


def test_long_lists_stream_in_pages(open_ledger):
    runs = [planned_run(f"r{number}", files=[planned_file(f"f{number}")]) for number in range(260)]
    plan = make_plan(*runs, plan_id="long")
    ledger = open_ledger()
    ledger.create(plan, target="t", body={})

    assert [action.number for action in ledger.actions("long")] == list(range(520))
    assert [(action.run_no, action.action_no) for action in ledger.latest("long")][:4] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert sum(1 for _ in ledger.latest("long")) == 520


def test_a_job_nobody_made_is_a_usage_error(ledger):
    with pytest.raises(UsageError, match="no job 'other'"):
        ledger.job("other")
    with pytest.raises(UsageError, match="no job 'other'"):
        ledger.note("other", "note", {})


class _Machine(RuleBasedStateMachine):
    """Whatever is done, in whatever order: one outcome each, attempts counted, the chain whole."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.file = self.folder / f"{id(self)}.sqlite"
        self.ledger = Ledger.open(f"sqlite:///{self.file}")
        self.ledger.create(PLAN, target="t", body={})
        self.outcomes: dict[int, str] = {}
        self.attempts = dict.fromkeys(range(6), 0)

    numbers = st.integers(0, 5)

    def _action(self, number: int):
        return next(self.ledger.actions(JOB, number, number + 1))

    @rule(number=numbers)
    def intend(self, number: int) -> None:
        if number not in self.outcomes:
            self.attempts[number] += 1
            assert self.ledger.intend(JOB, self._action(number), "s") == self.attempts[number]

    @rule(number=numbers, outcome=st.sampled_from(["hidden", "held", "failed"]))
    def finish(self, number: int, outcome: str) -> None:
        first = number not in self.outcomes
        assert self.ledger.finish(JOB, self._action(number), outcome, None, "s") is first
        self.outcomes.setdefault(number, outcome)

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(f"sqlite:///{self.file}")

    @rule()
    def note(self) -> None:
        self.ledger.note(JOB, "note", {})

    @invariant()
    def rows_are_what_was_done(self) -> None:
        rows = {action.number: action for action in self.ledger.actions(JOB)}
        assert {number: row.attempts for number, row in rows.items()} == self.attempts
        assert {number: row.outcome for number, row in rows.items() if row.outcome} == self.outcomes

    @invariant()
    def the_journal_is_whole_and_tells_all(self) -> None:
        assert is_whole(self.ledger)
        kinds = [entry.kind for entry in self.ledger.entries(JOB)]
        assert kinds.count("intent") == sum(self.attempts.values())
        assert kinds.count("outcome") == len(self.outcomes)

    def teardown(self) -> None:
        self.ledger.close()


def test_rows_and_journal_agree_whatever_happens(tmp_path):
    machine = type("Machine", (_Machine,), {"folder": tmp_path})
    machine.TestCase.settings = settings(max_examples=6, stateful_step_count=15, deadline=None)
    machine.TestCase("runTest").runTest()


def test_a_case_is_saved_for_its_owner_alone_and_opened_again(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    save_case(path, PLAN, KEY)

    case = open_case(path, environ={"WBGQL_STATE": str(tmp_path / "state")})

    try:
        assert load_plan(path) == case.plan == PLAN
        assert case.require_key().to_hex() == KEY.to_hex()
        for file in (path, tmp_path / "plan.json.key", tmp_path / "state" / "erasure.sqlite"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    finally:
        case.close()


def test_the_key_of_another_plan_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    save_case(path, make_plan(case_key_id="f" * 16), KEY)
    case = open_case(path, database=f"sqlite:///{tmp_path / 'l.sqlite'}")

    with pytest.raises(UsageError, match="key of another plan"):
        case.require_key()
    case.close()


def test_no_key_is_none_and_a_damaged_one_an_error(tmp_path):
    path = tmp_path / "plan.json"
    assert load_key(path) is None
    (tmp_path / "plan.json.key").write_text("no key")
    with pytest.raises(UsageError, match="holds no case key"):
        load_key(path)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_only_files_and_postgresql_can_hold_a_ledger(url):
    with pytest.raises(ConfigError, match="sqlite:///FILE"):
        Ledger.open(url)


def test_d4_23_a_damaged_database_is_a_store_error(tmp_path):
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"this is no database" * 100)

    with pytest.raises(StoreError, match="cannot be used"):
        Ledger.open(f"sqlite:///{file}")


def test_d4_23_a_full_disk_is_a_store_error_that_quotes_no_row(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.create(PLAN, target="t", body={})
    pages = sqlite3.connect(tmp_path / "ledger.sqlite").execute("PRAGMA page_count").fetchone()[0]
    # What a full disk says, without one: the file may not grow any more.
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()

    body = {"text": "canary" * 1000}
    with pytest.raises(StoreError, match="full") as caught:
        ledger.note(JOB, "note", body)

    assert "canary" not in str(caught.value)
    assert is_whole(ledger)
    ledger.close()


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b'{"approvers"', b'{"approvers":null,"approvers"', 1),
        lambda text: text.replace(b":", b": ", 1),
    ],
)
def test_a_plan_that_is_not_written_as_plans_are_is_refused(
    tmp_path: Path, edit: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "plan.json"
    save_case(path, PLAN, KEY)
    path.write_bytes(edit(path.read_bytes()))

    with pytest.raises(UsageError, match="keys are given twice"):
        load_plan(path)


def test_where_a_plan_cannot_be_written_no_key_is_left_in_the_way(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # the key fits, the plan does not
    try:
        with pytest.raises(StoreError):
            create_case(tmp_path / "plan.json", PLAN, KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert list(tmp_path.iterdir()) == []
    create_case(tmp_path / "plan.json", PLAN, KEY)
