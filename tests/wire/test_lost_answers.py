"""Answers to mutations that are lost or garbled, over HTTP: what the error claims is what the server did.

Each fault comes after the server applied the mutation, and without it having arrived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.bulk import BulkRun, delete_runs, write_runs
from tests.erasure.fault_proxy import Chooser, Fault, FaultProxy, on, proxied
from tests.stored import World
from wbgql.deletes import delete_artifact, delete_files, delete_run, undelete_runs
from wbgql.errors import PermissionDenied, WbgqlError
from wbgql.paths import RunPath
from wbgql.safety.holds import HoldRegister
from wbgql.server import RunningServer
from wbgql.settings import Settings
from wbgql.upserts import set_tags, upsert_run
from wbgql.wire.mutations import reread_after_s
from wbgql.wire.retry import RetryPolicy
from wbgql.wire.session import Session

_HTML = {"Content-Type": "text/html"}
_JSON = {"Content-Type": "application/json"}


def _graphql(status: int, message: str, **more: Any) -> Fault:
    body = {"errors": [{"message": message}], **more}
    return Fault(status=status, headers=_JSON, body=json.dumps(body).encode())


def _page(status: int, **headers: str) -> Fault:
    return Fault(status=status, headers=_HTML | headers, body=b"<title>Trouble</title>")


def _body(body: bytes, headers: dict[str, str] | None = None) -> Fault:
    return Fault(status=200, headers=headers or _JSON, body=body)


# What may come back whether or not the server did the work.
FAULTS: dict[str, Fault] = {
    "connection reset": Fault(cut="reset"),
    "body cut off": Fault(cut="half"),
    "HTML with 200": _page(200),
    "empty body": _body(b""),
    "JSON cut off": _body(b'{"data": {"ups'),
    "not JSON": _body(b"OK", {"Content-Type": "text/plain"}),
    "not UTF-8": _body(b"\xff\xfe\x00"),
    "empty object": _body(b"{}"),
    "a list": _body(b"[]"),
    "null": _body(b"null"),
    "data null": _body(b'{"data": null}'),
    "data empty": _body(b'{"data": {}}'),
    "data of another kind": _body(b'{"data": {"viewer": {"id": "x"}}}'),
    "data a text": _body(b'{"data": "done"}'),
    "errors with 200": _graphql(200, "something broke"),
    "errors next to data null": _graphql(200, "something broke", data=None),
    "permission with 200": _body(b'{"errors": [{"message": "no", "extensions": {"code": "FORBIDDEN"}}]}'),
    "errors no list": _body(b'{"errors": "oops"}'),
    "204": Fault(status=204, headers=_JSON, body=b""),
    "301": _page(301, Location="https://elsewhere.example/graphql"),
    "302": _page(302, Location="https://login.example/?next=secret"),
    "304": Fault(status=304, headers=_JSON, body=b""),
    "307": _page(307, Location="/graphql"),
    "400": _page(400),
    "400 in GraphQL": _graphql(400, "bad request"),
    "401": _page(401),
    "403": _page(403),
    "403 in GraphQL": _graphql(403, "permission denied"),
    "404": _page(404),
    "404 in GraphQL": _graphql(404, "not found"),
    "407": _page(407),
    "408": _page(408),
    "409": _graphql(409, "run was previously created and deleted"),
    "410": _graphql(410, "gone"),
    "413": _page(413),
    "422": _graphql(422, "cannot process"),
    "499": _page(499),
    "500": _graphql(500, "context deadline exceeded"),
    "500 page": _page(500),
    "501": _page(501),
    "502": _page(502),
    "503": _page(503),
    "504": _page(504),
    "520": _page(520),
    "rate limit from within": _body(b'{"errors": [{"message": "rate limit exceeded", "path": ["x"]}]}'),
}


def _add_error(answer: Any) -> Any:
    return answer | {"errors": [{"message": "passing trouble"}]}


def _null_nodes(answer: Any) -> Any:
    return {"data": dict.fromkeys(answer["data"])}


def _hollow_nodes(answer: Any) -> Any:
    return {"data": {name: dict.fromkeys(node or ()) for name, node in answer["data"].items()}}


# What only a server that did the work answers.
GARBLED = {
    "errors next to data": Fault(change=_add_error),
    "payload null": Fault(change=_null_nodes),
    "fields of the payload null": Fault(change=_hollow_nodes),
    "HTML as content type": Fault(headers=_HTML),
    "201": Fault(status=201),
}

CASES: list[tuple[str, Fault]] = [
    *((f"{name}, applied", fault) for name, fault in FAULTS.items()),
    *((f"{name}, not applied", replace(fault, forward=False)) for name, fault in FAULTS.items()),
    *((f"{name}, applied", fault) for name, fault in GARBLED.items()),
]


@dataclass
class Bench:
    """A project behind a proxy that spoils answers; `session` waits no time."""

    data: Path
    world: World
    proxy: FaultProxy
    session: Session
    holds: HoldRegister

    def path(self, name: str) -> RunPath:
        return RunPath("admin", self.world.project, name)

    def tags(self, name: str) -> Any:
        run = self.world.caller.run(self.world.project, name)
        return run and run["tags"]


@pytest.fixture
def bench(local_server: RunningServer, world: World, tmp_path: Path) -> Iterator[Bench]:
    with proxied(local_server.base_url) as proxy:
        settings = Settings(base_url=proxy.base_url, api_key=local_server.api_key)
        policy = RetryPolicy(attempts=2, base_s=0)
        with Session.open(settings, policy=policy, sleep=lambda _seconds: None) as session:
            holds = HoldRegister(tmp_path / "holds.json")
            holds.create()
            yield Bench(local_server.data, world, proxy, session, holds)


Act = Callable[[], object]
Truth = Callable[[], bool]
Deed = tuple[str, Callable[[Bench, str], tuple[Act, Truth]]]


def _tag(bench: Bench, target: str) -> tuple[Act, Truth]:
    path = bench.path("r0")
    return lambda: set_tags(bench.session, path, [target]), lambda: bench.tags("r0") == [target]


def _update(bench: Bench, target: str) -> tuple[Act, Truth]:
    run = lambda: bench.world.caller.run(bench.world.project, "r0")  # noqa: E731
    return (
        lambda: upsert_run(bench.session, bench.path("r0"), notes=target, config={"at": target}),
        lambda: run()["notes"] == target and json.loads(run()["config"])["at"]["value"] == target,
    )


def _create(bench: Bench, target: str) -> tuple[Act, Truth]:
    path = bench.path(f"new-{target}")
    return (
        lambda: upsert_run(bench.session, path, state="finished", tags=["x"]),
        lambda: bench.tags(path.run_id) == ["x"],
    )


def _delete(bench: Bench, target: str) -> tuple[Act, Truth]:
    path = bench.path(target)
    return (
        lambda: delete_run(bench.session, path, holds=bench.holds),
        lambda: bench.tags(target) is None,
    )


def _undelete(bench: Bench, target: str) -> tuple[Act, Truth]:
    delete_runs(bench.data, bench.world.project, [target])
    path = bench.path(target)
    return (
        lambda: undelete_runs(bench.session, path.project_path, [target]),
        lambda: bench.tags(target) is not None,
    )


def _files(bench: Bench, target: str) -> tuple[Act, Truth]:
    bench.world.store("r0", {f"{target}.txt": b"x"})
    files = lambda: [file.name for file in bench.world.client.files(f"{bench.world.path}/r0")]  # noqa: E731
    return (
        lambda: delete_files(bench.session, bench.path("r0"), [f"{target}.txt"], holds=bench.holds),
        lambda: f"{target}.txt" not in files(),
    )


def _artifact(bench: Bench, target: str) -> tuple[Act, Truth]:
    made = bench.world.log(f"net-{target}", {"a.txt": b"1"}, aliases=[])
    versions = lambda: bench.world.client.artifacts(bench.world.path)  # noqa: E731
    return (
        lambda: delete_artifact(bench.session, made, holds=bench.holds, delete_aliases=True),
        lambda: made not in [version.id for version in versions()],
    )


DEEDS: dict[str, Deed] = {
    "tag": ("UpsertRun", _tag),
    "update": ("UpsertRun", _update),
    "create": ("UpsertRun", _create),
    "delete": ("DeleteRun", _delete),
    "undelete": ("UndeleteRuns", _undelete),
    "files": ("DeleteFiles", _files),
    "artifact": ("DeleteArtifact", _artifact),
}


@pytest.mark.parametrize("name", DEEDS)
def test_after_a_lost_answer_the_truth_is_read_and_said(bench: Bench, name: str) -> None:
    # Three deeds share one fault of three; the next test goes through all of them.
    _check(bench, name, CASES[list(DEEDS).index(name) % 3 :: 3])


@pytest.mark.full
@pytest.mark.parametrize("name", DEEDS)
def test_after_every_lost_answer_the_truth_is_read_and_said(bench: Bench, name: str) -> None:
    _check(bench, name, CASES)


def _check(bench: Bench, name: str, cases: list[tuple[str, Fault]]) -> None:
    operation, prepare = DEEDS[name]
    _fill(bench)
    wrong = []
    for number, (case, fault) in enumerate(cases):
        act, truth = prepare(bench, f"t{number}")
        bench.proxy.forget()
        bench.proxy.choose = on(operation, fault)
        said = _attempt(act)
        sends = sum(request.operation == operation for request in bench.proxy.requests)
        if not _is_true(said, applied=truth()) or not 1 <= sends <= (1 if fault.forward else 2):
            wrong.append(f"{case}: {said!r}, {sends} sent, applied: {truth()}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", DEEDS)
def test_where_no_read_can_tell_the_error_says_so(bench: Bench, name: str) -> None:
    operation, prepare = DEEDS[name]
    _fill(bench)
    for number, after in enumerate((_page(503), Fault(cut="reset"), _graphql(403, "no"), _page(302))):
        for forward in (True, False):
            act, _ = prepare(bench, f"t{2 * number + forward}")
            bench.proxy.forget()
            bench.proxy.choose = _from(bench.proxy, operation, replace(after, forward=forward))

            with pytest.raises(WbgqlError) as caught:
                act()

            assert caught.value.maybe_applied
            assert "was sent and may have been applied" in "".join(caught.value.__notes__)
            assert sum(request.operation == operation for request in bench.proxy.requests) == 1


def _fill(bench: Bench) -> None:
    names = ["r0", "control", *(f"t{number}" for number in range(len(CASES)))]
    write_runs(bench.data, bench.world.project, [BulkRun(name=name) for name in names])


def _from(proxy: FaultProxy, operation: str, fault: Fault) -> Chooser:
    """Spoil the operation and every request after it."""
    return lambda _: fault if any(sent.operation == operation for sent in proxy.requests) else None


def _attempt(act: Act) -> object:
    try:
        return act()
    except WbgqlError as error:
        return error


def _is_true(said: object, *, applied: bool) -> bool:
    """Whether what was said fits: success, "not applied" or a part of it; "not known" is no excuse here."""
    if not isinstance(said, WbgqlError):
        return applied
    return not said.maybe_applied and not applied and _says_not_applied(said)


def _says_not_applied(error: WbgqlError) -> bool:
    notes = " ".join(getattr(error, "__notes__", ()))
    return "did not apply" in notes or "not shown to be gone" in str(error)


def test_reads_are_repeated_for_as_long_as_the_patience_lasts_and_not_after_a_refusal() -> None:
    refused = PermissionDenied("no", operation="DeleteRun", status=403, errors=[{"message": "no"}])

    assert reread_after_s(None) == [0.5, 2.5]
    assert reread_after_s(None, 10.0) == [0.5, 2.5, 7.0]
    assert (reread_after_s(None, 0.0), reread_after_s(refused, 10.0)) == ([], [])
