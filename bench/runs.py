"""The runs that everybody reads: made the same way each time, kept as the bytes that travel."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

ENTITY, PROJECT = "bench", "runs"
PATH = f"{ENTITY}/{PROJECT}"
RUNS, CONFIG_KEYS, SUMMARY_KEYS = 20_000, 30, 100
ASKED = {"config": "lr", "summary": "acc"}

_START = datetime(2026, 1, 1, tzinfo=UTC)
_encode = msgspec.json.encode


def config_of(chance: random.Random) -> dict[str, Any]:
    """Thirty values: floats, whole numbers, texts, booleans."""
    values: dict[str, Any] = {"lr": chance.random()}
    for number in range(1, CONFIG_KEYS):
        kinds = (chance.random(), chance.randrange(10_000), f"text-{chance.randrange(50)}", number % 2 == 0)
        values[f"param_{number}"] = kinds[number % 4]
    return values


def summary_of(chance: random.Random) -> dict[str, Any]:
    """A hundred numbers, as training logs them."""
    values: dict[str, Any] = {"acc": chance.random(), "_step": chance.randrange(100_000)}
    for number in range(2, SUMMARY_KEYS):
        values[f"{('train', 'val')[number % 2]}/metric_{number}"] = chance.random()
    return values


def to_cursor(offset: int) -> str:
    """A cursor as W&B makes it (wandb/wandb#6614, 2023)."""
    return base64.b64encode(f"arrayconnection:{offset}".encode()).decode()


class Edges:
    """Every run as an edge, encoded once for each kind of question.

    `keys`: this package's list with the two keys asked for; `whole`: with all of config and summary;
    `keys_parts`, `whole_parts`: the same with the run's attributes; `full`: the SDK's RunFragment (its `historyKeys` null, which is in its favour);
    `light`: the SDK's lazy fragment; `nodes`: RunFragment without the edge around it, by run id.
    """

    def __init__(self, count: int = RUNS) -> None:
        chance = random.Random(4)
        self.count = count
        self.keys: list[bytes] = []
        self.keys_parts: list[bytes] = []
        self.whole: list[bytes] = []
        self.whole_parts: list[bytes] = []
        self.full: list[bytes] = []
        self.light: list[bytes] = []
        self.nodes: dict[str, bytes] = {}
        for number in range(count):
            self._add(number, config_of(chance), summary_of(chance))

    def _add(self, number: int, config: dict[str, Any], summary: dict[str, Any]) -> None:
        wrapped = {key: {"value": value} for key, value in config.items()}
        parts = _parts(number)
        more = _sdk_parts()
        texts = {"config": _text(wrapped), "summaryMetrics": _text(summary)}
        asked = {
            "config": _text({"lr": wrapped["lr"]}),
            "summaryMetrics": _text({"acc": summary["acc"]}),
        }
        cursor = to_cursor(number)
        bare = {name: parts[name] for name in ("id", "name", "createdAt")}
        self.keys.append(_edge(cursor, bare | asked))
        self.keys_parts.append(_edge(cursor, parts | asked))
        self.whole.append(_edge(cursor, bare | texts))
        self.whole_parts.append(_edge(cursor, parts | texts))
        self.light.append(_edge(cursor, parts | more))
        full = parts | more | texts | {"systemMetrics": "{}", "historyKeys": None}
        self.full.append(_edge(cursor, full))
        self.nodes[parts["name"]] = _encode(full)


def fields() -> list[dict[str, str]]:
    """The project's typed keys."""
    names = {float: "number", int: "number", str: "string", bool: "boolean"}
    chance = random.Random(4)
    config, summary = config_of(chance), summary_of(chance)
    return [
        *({"path": f"config.{key}.value", "type": names[type(value)]} for key, value in config.items()),
        *({"path": f"summary_metrics.{key}", "type": names[type(value)]} for key, value in summary.items()),
    ]


def _parts(number: int) -> dict[str, Any]:
    name = f"r{number:07x}"
    instant = (_START + timedelta(seconds=60 * number)).isoformat().replace("+00:00", "Z")
    return {
        "id": base64.b64encode(f"Run:v1:{name}:{PROJECT}:{ENTITY}".encode()).decode(),
        "name": name,
        "displayName": f"swift-river-{number}",
        "state": "finished",
        "tags": ["baseline", "v2"][: number % 3],
        "group": f"group-{number % 20}",
        "jobType": "train",
        "sweepName": None,
        "createdAt": instant,
        "heartbeatAt": instant,
        "user": {"username": "ann", "name": "Ann"},
    }


def _sdk_parts() -> dict[str, Any]:
    return {
        "projectId": "7",
        "commit": None,
        "readOnly": False,
        "description": None,
        "notes": None,
        "historyLineCount": 1000,
    }


def _text(value: Any) -> str:
    return _encode(value).decode()


def _edge(cursor: str, node: dict[str, Any]) -> bytes:
    return _encode({"cursor": cursor, "node": node})
