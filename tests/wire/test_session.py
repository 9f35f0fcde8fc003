"""Sessions: what is checked before, repeated during and decoded after a request."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes import Answer, FakeClock, FakeTransport, data_reply, error_reply
from wbgql.documents import Documents, Operation, Result
from wbgql.errors import (
    AuthenticationError,
    DocumentError,
    Held,
    InsecureTransportWarning,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestError,
    ResponseError,
    ResultError,
    ServerUnavailable,
    UsageError,
)
from wbgql.settings import Settings
from wbgql.wire.mutations import send_once
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session, make_request_error
from wbgql.wire.transport import Reply


class Name(Result, frozen=True):
    display_name: str


class GetName(Result, frozen=True):
    run: Name | None


GET = Operation("GetName", GetName)
LIST = Operation("ListNames", dict, paged=True)
SET = Operation("SetName", dict)
PUT = Operation("SetName", dict, repeatable=True)
ADA = {"run": {"displayName": "ada"}}
UNAVAILABLE = ServerUnavailable("reset")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    folder: Path = tmp_path_factory.mktemp("queries")
    (folder / "all.graphql").write_text(
        """
        query GetName($id: ID!, $size: Int = 3, $extra: JSON) { run(id: $id) { displayName } }
        query ListNames($first: Int!) { runs(first: $first) { displayName } }
        mutation SetName($id: ID!) { set(id: $id) { ok } }
        """
    )
    return Documents((folder,))


class Setup:
    def __init__(self, documents: Documents, *answers: Answer, **options: Any) -> None:
        self.transport = FakeTransport(*answers)
        self.clock = FakeClock()
        self.session = Session(
            self.transport,
            documents=documents,
            clock=self.clock,
            now=lambda: 1_800_000_000.0,
            sleep=self.clock.sleep,
            uniform=lambda _low, high: high,
            **options,
        )


def test_execute_returns_the_typed_result(documents: Documents) -> None:
    it = Setup(documents, ADA)

    assert it.session.execute(GET, id="1") == GetName(run=Name(display_name="ada"))
    assert it.transport.sent == [("GetName", {"id": "1"})]


def test_execute_gives_users_plain_dicts_if_they_want_them(documents: Documents) -> None:
    operation: Operation[dict[str, Any]] = Operation("GetName", dict)

    assert Setup(documents, ADA).session.execute(operation, id="1") == ADA


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"id": "1", "colour": 1}, r"GetName: no variable 'colour', declared: \$id, \$size, \$extra"),
        ({}, r"\$id: ID! must be given"),
        ({"id": None}, r"\$id: ID! must be given"),
        ({"id": "1", "extra": {"a": [math.nan]}}, r"\$extra cannot be sent as JSON"),
        ({"id": "1", "extra": -math.inf}, r"\$extra cannot be sent as JSON"),
        ({"id": "1", "extra": object()}, r"\$extra cannot be sent as JSON"),
    ],
)
def test_bad_variables_are_refused_before_anything_is_sent(
    documents: Documents, variables: dict[str, Any], says: str
) -> None:
    it = Setup(documents)

    with pytest.raises(UsageError, match=says):
        it.session.execute(GET, **variables)
    assert it.transport.sent == []


def test_a_variable_may_be_called_operation(tmp_path: Path) -> None:
    (tmp_path / "a.graphql").write_text("query A($operation: String) { a(b: $operation) }")
    it = Setup(Documents((tmp_path,)), {"a": 1})

    assert it.session.execute(Operation("A", dict), operation="x") == {"a": 1}


def test_an_unknown_operation_is_a_document_error(documents: Documents) -> None:
    with pytest.raises(DocumentError, match="did you mean 'GetName'"):
        Setup(documents).session.execute(Operation("GetNames", dict))


def test_data_that_does_not_fit_names_the_json_path_and_keeps_the_data(documents: Documents) -> None:
    it = Setup(documents, {"run": {"displayName": 7}})

    with pytest.raises(ResultError, match=r"GetName: .*expected `str`, got `int` - at `\$\.run") as caught:
        it.session.execute(GET, id="1")
    assert caught.value.data == {"run": {"displayName": 7}}
    assert caught.value.status == 200


def test_an_answer_without_data_is_a_result_error(documents: Documents) -> None:
    with pytest.raises(ResultError, match="got `null`"):
        Setup(documents, Reply(data=None)).session.execute(GET, id="1")


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (error_reply("no", status=401), AuthenticationError, r"no \(HTTP 401\); check WANDB_API_KEY"),
        (error_reply("user is not logged in"), AuthenticationError, "not logged in; check"),
        (error_reply("no", code="UNAUTHENTICATED"), AuthenticationError, "no; check"),
        (error_reply("no", status=403), PermissionDenied, "no"),
        (error_reply("no", code="PERMISSION_ERROR"), PermissionDenied, "no"),
        (error_reply("gone", status=404), NotFound, r"gone \(HTTP 404\)"),
        (Reply(status=404, text="nothing here"), ResponseError, "HTTP 404, not a GraphQL answer"),
        (error_reply("slow down", status=429), RateLimited, "slow down"),
        (Reply(status=502, text="Bad Gateway"), ServerUnavailable, "HTTP 502.*'Bad Gateway'"),
        (Reply(status=503), ServerUnavailable, "HTTP 503"),
        (error_reply("late", status=504), ServerUnavailable, "late"),
        (Reply(status=522, text="x"), ServerUnavailable, "HTTP 522"),
        (error_reply("boom", status=500), ServerUnavailable, r"boom \(HTTP 500\)"),
        (error_reply("context deadline exceeded"), ServerUnavailable, "deadline"),
        (Reply(status=501, text="x"), ResponseError, "HTTP 501"),
        (error_reply('Cannot query field "x" on type "Run".', status=500), ResponseError, "Cannot query"),
        (error_reply("no", status=500, code="GRAPHQL_VALIDATION_FAILED"), ResponseError, "no"),
        (error_reply("Rate limit exceeded: 60 requests", status=200), RateLimited, "60 requests"),
        (error_reply("per-team rate limit exceeded", status=500), RateLimited, "per-team"),
        (error_reply("slow down", status=500, code="RATE_LIMITED"), RateLimited, "slow down"),
        (error_reply("no run 'rate limit exceeded'", status=400), ResponseError, "no run"),
        (error_reply("previously created and deleted", status=409), ResponseError, "previously created"),
        (error_reply("cannot query field", status=400), ResponseError, "cannot query"),
        (error_reply("half"), ResponseError, "GetName: half$"),
        (Reply(text="<html>"), ResponseError, "HTTP 200, not a GraphQL answer"),
        (Reply(status=302, headers={"location": "https://x/graphql"}), ResponseError, "set base_url"),
    ],
)
def test_an_answer_becomes_the_error_it_stands_for(reply: Reply, kind: type, says: str) -> None:
    error = make_request_error("GetName", reply)

    assert type(error) is kind
    assert error.operation == "GetName"
    assert error.status == reply.status
    with pytest.raises(kind, match=says):
        raise error


def test_a_good_answer_is_no_error() -> None:
    assert make_request_error("GetName", data_reply(ADA)) is None


def test_an_error_keeps_what_the_server_sent_beside_it(documents: Documents) -> None:
    it = Setup(documents, error_reply("half", code="ODD", data={"run": None}))

    with pytest.raises(ResponseError) as caught:
        it.session.execute(GET, id="1")

    assert caught.value.errors == ({"message": "half", "extensions": {"code": "ODD"}},)
    assert caught.value.data == {"run": None}


def test_several_errors_are_all_in_the_message_each_once() -> None:
    reply = Reply(errors=[{"message": "a"}, {"message": "b"}, {"message": "a"}])

    assert str(make_request_error("GetName", reply)) == "GetName: a; b"


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=502, text=""),
        Reply(status=503),
        Reply(status=504),
        error_reply("slow down", status=429),
        ServerUnavailable("timeout", timed_out=True),
        UNAVAILABLE,
    ],
)
def test_a_query_is_repeated_on_what_may_pass(documents: Documents, failure: Answer) -> None:
    it = Setup(documents, failure, failure, ADA)

    assert it.session.execute(GET, id="1").run is not None
    assert len(it.transport.sent) == 3
    assert it.clock.sleeps == [0.5, 1.0]


def test_a_500_that_passes_is_not_seen_and_one_that_stays_is_sent_three_times(documents: Documents) -> None:
    boom = error_reply("driver: bad connection", status=500)
    passing = Setup(documents, boom, boom, ADA)
    staying = Setup(documents, boom, boom, boom)

    assert passing.session.execute(GET, id="1").run is not None
    with pytest.raises(ServerUnavailable) as caught:
        staying.session.execute(GET, id="1")

    assert caught.value.attempts == len(staying.transport.sent) == 3
    assert sum(staying.clock.sleeps) <= 5


def test_a_500_is_repeated_within_five_seconds_or_not_at_all(documents: Documents) -> None:
    asks_to_wait = error_reply("boom", status=500)
    slow = Setup(documents, replace(asks_to_wait, headers={"retry-after": "60"}), ADA)
    with pytest.raises(ServerUnavailable):
        slow.session.execute(GET, id="1")
    assert (len(slow.transport.sent), slow.clock.sleeps) == (1, [])

    short = Setup(documents, *[replace(asks_to_wait, headers={"retry-after": "3"})] * 3)
    with pytest.raises(ServerUnavailable):
        short.session.execute(GET, id="1")
    assert (len(short.transport.sent), short.clock.sleeps) == (2, [3.0])


def test_a_question_that_may_fail_is_sent_once(documents: Documents) -> None:
    it = Setup(documents, Reply(status=503))

    with pytest.raises(ServerUnavailable):
        it.session.execute_once(GET, id="1")
    assert len(it.transport.sent) == 1


def test_a_rate_limit_from_within_a_mutation_proves_nothing(documents: Documents) -> None:
    error = {"message": "rate limit exceeded", "path": ["set"]}
    it = Setup(documents, Reply(errors=[error]))

    with pytest.raises(RateLimited):
        it.session.execute(SET, id="1")
    assert len(it.transport.sent) == 1
    lost = send_once(Setup(documents, Reply(errors=[error])).session, SET, {"id": "1"}).lost
    assert isinstance(lost, RateLimited)
    with pytest.raises(RateLimited):
        send_once(
            Setup(documents, Reply(status=429), policy=RetryPolicy(attempts=1)).session, SET, {"id": "1"}
        )


@pytest.mark.parametrize("failure", [Reply(status=501), error_reply("bad", status=400)])
def test_nothing_is_repeated_that_would_fail_again(documents: Documents, failure: Answer) -> None:
    it = Setup(documents, failure)

    with pytest.raises(ResponseError):
        it.session.execute(GET, id="1")
    assert len(it.transport.sent) == 1


@pytest.mark.parametrize("failure", [Reply(status=503), Reply(status=500), UNAVAILABLE])
def test_a_mutation_is_not_repeated_by_accident(documents: Documents, failure: Answer) -> None:
    it = Setup(documents, failure)

    with pytest.raises(RequestError):
        it.session.execute(SET, id="1")
    assert len(it.transport.sent) == 1


@pytest.mark.parametrize("status", [200, 403, 429, 500, 503])
def test_a_mutation_that_was_refused_for_its_rate_is_sent_again(documents: Documents, status: int) -> None:
    refused = error_reply("rate limit exceeded, try later", status=status)
    it = Setup(documents, refused, {"set": {"ok": True}})

    assert it.session.execute(SET, id="1") == {"set": {"ok": True}}


def test_an_operation_that_destroys_is_sent_again_after_429_only_behind_a_guard(documents: Documents) -> None:
    destroys = replace(SET, destructive=True)
    slow = Reply(status=429, headers={"retry-after": "7"})
    alone = Setup(documents, slow)
    with pytest.raises(RateLimited):
        alone.session.execute(destroys, id="1")

    asked: list[int] = []
    guarded = Setup(documents, slow, {"set": {"ok": True}})
    guarded.session.execute_guarded(destroys, lambda: asked.append(len(guarded.transport.sent)), id="1")

    assert len(alone.transport.sent) == 1
    assert asked == [0, 1]
    assert guarded.clock.sleeps == [7.0]


def test_a_guard_that_refuses_after_the_wait_ends_the_call(documents: Documents) -> None:
    it = Setup(documents, Reply(status=429, headers={"retry-after": "7"}))
    answers: list[object] = [None]

    def guard() -> None:
        if not answers:
            raise Held("a hold came meanwhile")
        answers.pop()

    with pytest.raises(Held):
        it.session.execute_guarded(replace(SET, destructive=True), guard, id="1")
    assert len(it.transport.sent) == 1


def test_a_mutation_is_repeated_if_it_was_surely_not_sent(documents: Documents) -> None:
    it = Setup(documents, ServerUnavailable("refused", sent=False), {"set": {"ok": True}})

    assert it.session.execute(SET, id="1") == {"set": {"ok": True}}


def test_a_mutation_marked_repeatable_is_repeated(documents: Documents) -> None:
    it = Setup(documents, Reply(status=503), UNAVAILABLE, {"set": {"ok": True}})

    assert it.session.execute(PUT, id="1") == {"set": {"ok": True}}


@pytest.mark.parametrize(
    ("failure", "first", "attempts"),
    [
        (ServerUnavailable("slow", timed_out=True), 100, 1),
        (Reply(status=504), 100, 1),
        (error_reply("context deadline exceeded", status=500), 100, 1),
        (error_reply("context deadline exceeded", status=500), 10, 3),
        (Reply(status=502), 11, 1),
        (Reply(status=502), 10, 5),
        (Reply(status=503), 100, 5),
        (ServerUnavailable("no route", timed_out=True, sent=False), 100, 5),
    ],
)
def test_a_large_page_is_left_to_the_paging_loop(
    documents: Documents, failure: Answer, first: int, attempts: int
) -> None:
    it = Setup(documents, *[failure] * 5)

    with pytest.raises(ServerUnavailable):
        it.session.execute(LIST, first=first)
    assert len(it.transport.sent) == attempts


def test_the_server_says_how_long_to_wait(documents: Documents) -> None:
    slow = Reply(status=429, errors=[{"message": "slow"}], headers={"retry-after": "7"})
    dated = Reply(status=503, headers={"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"})
    it = Setup(documents, slow, dated, ADA)

    it.session.execute(GET, id="1")

    assert it.clock.sleeps == [7.0, 20.0]


def test_a_wait_beyond_the_deadline_is_raised_at_once(documents: Documents) -> None:
    it = Setup(documents, Reply(status=429, headers={"retry-after": "3600"}))

    with pytest.raises(RateLimited) as caught:
        it.session.execute(GET, id="1")
    assert caught.value.retry_after_s == 3600
    assert it.clock.sleeps == []


def test_time_already_waited_counts_toward_the_deadline(documents: Documents) -> None:
    it = Setup(documents, *[Reply(status=429, headers={"retry-after": "4"})] * 9,
               policy=RetryPolicy(attempts=9, deadline_s=10))  # fmt: skip

    with pytest.raises(RateLimited):
        it.session.execute(GET, id="1")
    assert it.clock.sleeps == [4.0, 4.0]


def test_on_retry_is_told_before_each_wait(documents: Documents) -> None:
    told: list[tuple[str, int, float]] = []
    it = Setup(documents, UNAVAILABLE, ADA, on_retry=lambda *event: told.append((str(event[0]), *event[1:])))

    it.session.execute(GET, id="1")

    assert told == [("reset", 1, 0.5)]


def test_stats_count_every_attempt(documents: Documents) -> None:
    good = data_reply(ADA, bytes_sent=10, bytes_received=20)
    it = Setup(documents, Reply(status=503, bytes_sent=10, bytes_received=5), UNAVAILABLE, good, good)

    it.session.execute(GET, id="1")
    it.session.execute(GET, id="2")

    stats = it.session.stats
    assert (stats.requests, stats.retries, stats.bytes_sent, stats.bytes_received) == (4, 2, 30, 45)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupt_is_not_held_up(documents: Documents, interrupt: BaseException) -> None:
    it = Setup(documents, interrupt)

    with pytest.raises(type(interrupt)):
        it.session.execute(GET, id="1")
    assert len(it.transport.sent) == 1


def test_a_closed_session_says_so(documents: Documents) -> None:
    it = Setup(documents)

    with it.session as session:
        pass

    assert it.transport.closed
    with pytest.raises(UsageError, match="closed"):
        session.execute(GET, id="1")


def test_several_threads_may_share_a_session(documents: Documents) -> None:
    it = Setup(documents, *[ADA] * 80)
    threads = [
        threading.Thread(target=lambda: [it.session.execute(GET, id="1") for _ in range(10)])
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert it.session.stats.requests == 80
    assert len(it.transport.sent) == 80


def test_open_needs_a_key_and_sends_nothing(documents: Documents) -> None:
    with pytest.raises(AuthenticationError, match="no API key"):
        Session.open(Settings(), documents)
    with Session.open(Settings(api_key="k" * 40), documents) as session:
        assert session.stats.requests == 0


def test_data_is_decoded_from_the_wire_form_only_once(documents: Documents) -> None:
    raw = msgspec.Raw(b'{"run": {"displayName": "\\u00e4"}}')

    result = Setup(documents, Reply(data=raw)).session.execute(GET, id="1")

    assert result.run == Name(display_name="ä")


def test_a_key_that_would_travel_unencrypted_to_another_machine_gives_a_warning_first() -> None:
    settings = Settings(base_url="http://wandb.example.com", api_key="k" * 40)

    with pytest.warns(InsecureTransportWarning, match="unencrypted to 'http://wandb.example.com'"):
        Session.open(settings).close()


@pytest.mark.parametrize("url", ["https://wandb.example.com", "http://127.0.0.1:8899", "http://localhost"])
def test_no_warning_where_the_key_is_encrypted_or_stays_here(
    url: str, recwarn: pytest.WarningsRecorder
) -> None:
    Session.open(Settings(base_url=url, api_key="k" * 40)).close()

    assert not list(recwarn)
