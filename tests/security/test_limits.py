"""One caller cannot stop the server for others: time, size and depth of a request have limits."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.caller import Caller, new_project
from wbgql.server import RunningServer, add_user, start

COUNT = """
query Count($project: String!, $filters: JSONString) {
  project(name: $project, entityName: "admin") { runCount(filters: $filters) }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that gives a request two seconds."""
    with start(tmp_path_factory.mktemp("limited"), request_timeout_s=2.0) as running:
        yield running


@pytest.fixture
def caller(server: RunningServer) -> Caller:
    return Caller(server.base_url, server.api_key)


@pytest.fixture(scope="module")
def slow(server: RunningServer) -> tuple[str, str]:
    """A project and a filter that takes its server much longer than two seconds."""
    caller, project = Caller(server.base_url, server.api_key), new_project()
    for number in range(4):
        text = "".join(random.Random(number).choices("ab", k=200_000))  # no secret
        caller.upsert(project, name=f"r{number}", config={"text": {"value": text}})
    patterns = [f"a[ab]{{{60 + number}}}x" for number in range(40)]
    one_of = [{"config.text.value": {"$regex": pattern}} for pattern in patterns]
    return project, json.dumps({"$or": one_of})


def message(answer: requests.Response) -> str:
    found: str = answer.json()["errors"][0]["message"]
    return found


def test_a_path_through_arrays_does_not_double_at_each_part(caller: Caller) -> None:
    project = new_project()
    value: Any = 1
    for _ in range(30):
        value = [{"0": value}]
    caller.upsert(project, name="r1", config={"a": {"value": value}})

    filters = json.dumps({"config.a.value" + ".0" * 40: 2})

    assert caller.ask(COUNT, project=project, filters=filters)["project"]["runCount"] == 0


def test_fragments_that_double_at_each_level_are_refused(caller: Caller) -> None:
    levels = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(17)]
    document = "\n".join(["{ ...F0 }", *levels, "fragment F17 on Query { viewer { id } }"])

    answer = caller.post(document)

    assert (answer.status_code, message(answer)) == (
        400,
        "the document selects more than 10000 fields in all",
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{ viewer { " + "id " * 5000 + "} }", "one field too often"),
        ("{ viewer { ...A } } fragment A on User { ...A }", "nested more than 50"),
        ("{ a" * 100 + "{ id }" + " }" * 100, "nested more than 50"),
        ("{ a" * 6000 + " }" * 6000, "nested"),
        ("{ " + " ".join(f"a{n}: viewer {{ id }}" for n in range(300)) + " }", None),
        ("{ " + " ".join(f"a{n}: viewer {{ id name }}" for n in range(6000)) + " }", ""),
    ],
    ids=["repeated", "endless", "deep", "very deep", "many", "too many"],
)
def test_a_document_has_a_size(caller: Caller, document: str, words: str | None) -> None:
    answer = caller.post(document)

    assert answer.status_code == (200 if words is None else 400), answer.text[:300]
    if words is not None:
        assert words in message(answer)


def test_a_pattern_has_a_length(caller: Caller) -> None:
    project = new_project()
    caller.upsert(project, name="r1")
    filters = json.dumps({"name": {"$regex": "a|" * 30_000}})

    answer = caller.post(COUNT, project=project, filters=filters)

    assert answer.status_code == 400
    assert "$regex is 60000 characters long" in message(answer)


def test_a_pattern_and_a_text_have_a_product(caller: Caller) -> None:
    project = new_project()
    caller.upsert(project, name="r1", config={"text": {"value": "ab" * 1_000_000}})
    filters = json.dumps({"config.text.value": {"$regex": "a[ab]{900}x"}})

    answer = caller.post(COUNT, project=project, filters=filters)

    assert answer.status_code == 400
    assert "is too complex for a text of 2000000 characters" in message(answer)


def test_a_slow_request_is_stopped_and_others_are_answered_meanwhile(
    server: RunningServer, caller: Caller, slow: tuple[str, str]
) -> None:
    project, filters = slow
    other = Caller(server.base_url, add_user(server.data, "bystander"))
    answers: list[requests.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(caller.post(COUNT, project=project, filters=filters)))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()

    for _ in range(5):
        assert other.ask("{ viewer { username } }")["viewer"]["username"] == "bystander"
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {400}
    assert {message(answer) for answer in answers} == {
        "the request took too long and was stopped; ask for less at a time"
    }
    assert requests.get(f"{server.base_url}/healthz", timeout=10).json()["ok"] is True


def test_work_stops_when_its_caller_hangs_up(
    server: RunningServer, caller: Caller, slow: tuple[str, str]
) -> None:
    project, filters = slow
    body = {"query": COUNT, "variables": {"project": project, "filters": filters}}
    with pytest.raises(requests.Timeout):
        requests.post(f"{server.base_url}/graphql", json=body, auth=("api", caller.api_key), timeout=0.3)

    for _ in range(100):
        health = requests.get(f"{server.base_url}/healthz", timeout=10).json()
        if not health["working"]:
            break
        time.sleep(0.1)

    assert health == {"ok": True, "working": 0, "waiting": 0, "stuck": 0}


def test_a_server_at_work_ends_when_it_is_told_to(tmp_path: Path, slow: tuple[str, str]) -> None:
    project, filters = slow
    with start(tmp_path / "store", request_timeout_s=600.0) as running:
        caller = Caller(running.base_url, running.api_key)
        text = "".join(random.Random(1).choices("ab", k=200_000))
        caller.upsert(project, name="r1", config={"text": {"value": text}})
        body = {"query": COUNT, "variables": {"project": project, "filters": filters}}
        with pytest.raises(requests.Timeout):
            requests.post(f"{running.base_url}/graphql", json=body, auth=("api", caller.api_key), timeout=0.2)

        running.process.send_signal(signal.SIGTERM)

        assert running.process.wait(30) == 0


def connect(server: RunningServer) -> socket.socket:
    address = urlsplit(server.base_url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def test_a_stranger_is_refused_before_the_body_is_read(server: RunningServer) -> None:
    with connect(server) as stranger:
        stranger.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\n\r\n{")

        answer = stranger.recv(65536)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


def test_a_head_has_a_size(server: RunningServer) -> None:
    with connect(server) as stranger:
        stranger.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + (b"X-Filler: " + b"a" * 8000 + b"\r\n") * 9
        )
        answer = stranger.recv(65536)

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.full
def test_a_head_that_drips_is_given_up(server: RunningServer) -> None:
    with connect(server) as stranger:
        stranger.sendall(b"GET /healthz HTTP/1.1\r\n")
        try:
            for _ in range(40):
                stranger.sendall(b"X: y\r\n")
                time.sleep(1)
        except ConnectionError:
            return
        assert stranger.recv(65536) == b""
