"""History as the API shows it: rows by step, samples, and which keys there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from wbgql.scalars import to_safe_json
from wbgql.server.api import work
from wbgql.server.runs import lines
from wbgql.server.runs.values import dig, is_finite
from wbgql.server.store.database import Connection

DEFAULT_SAMPLES = 500
MAX_ROWS = 100_000


def texts(db: Connection, pk: int, min_step: int | None = None, max_step: int | None = None) -> list[str]:
    """Rows as they were sent, by step from `min_step` to before `max_step`, one for each step.

    Of rows that one writer sent for a step the last counts: they come from a repeated `wandb sync` of a
    resumed run. Rows of several writers, in the SDK's shared mode, become one with the keys of all: its
    readers drop all rows of a step but one (wandb SDK 0.31.0, seen 2026-11).
    """
    found = db.execute(
        "SELECT writer, step, row FROM history WHERE run_id = ? AND step >= ? AND step < ?"
        " ORDER BY step, writer, number",
        (pk, -(2**63) if min_step is None else min_step, 2**63 - 1 if max_step is None else max_step),
    )
    if db.execute("SELECT 1 FROM writers WHERE run_id = ? LIMIT 1", (pk,)).get is None:
        return list({step: row for _, step, row in _counted(found)}.values())
    by_step: dict[int, dict[int, str]] = {}
    for writer, step, row in _counted(found):
        by_step.setdefault(step, {})[writer] = row
    return [_merge(list(rows.values())) for rows in by_step.values()]


def _counted(found: Iterator[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Rows as they are read, their sizes counted as parts of the answer."""
    while batch := list(islice(found, 1000)):
        work.grow(sum(len(row) for _, _, row in batch))
        yield from batch


def live_rows(db: Connection, pk: int, keys: list[str]) -> list[dict[str, Any]]:
    """Rows by step, cut to `keys` and `_step`; rows without a step are left out."""
    if set(keys) <= {"_step"}:
        sql = "SELECT DISTINCT step FROM history WHERE run_id = ? AND step IS NOT NULL ORDER BY step"
        return [{"_step": step} for (step,) in db.execute(sql, (pk,))]
    wanted = {"_step", *keys}
    rows = map(lines.parse_row, texts(db, pk))
    return [to_safe_json({key: row[key] for key in row if key in wanted}) for row in rows]


def _merge(rows: list[str]) -> str:
    if len(rows) == 1:
        return rows[0]
    merged: dict[str, Any] = {}
    for row in rows:
        merged |= lines.parse_row(row)
    return json.dumps(merged)


def pick(items: list[Any], samples: int) -> list[Any]:
    """At most `samples` items, evenly spaced, first and last included."""
    if samples <= 0 or len(items) <= samples:
        return items
    if samples == 1:
        return items[-1:]
    last = len(items) - 1
    return [items[round(i * last / (samples - 1))] for i in range(samples)]


def sample(
    db: Connection, pk: int, spec: dict[str, Any], *, branch: int | None = None
) -> list[dict[str, Any]]:
    """Rows for one `sampledHistory` spec: those that hold all keys, cut to them, at most `samples`.

    `minStep` and `maxStep` are both inclusive here (wandb SDK 0.31.0 `core/internal/runhistoryreader`,
    2026-11). Non-finite numbers become strings, since these rows are plain JSON. With `branch`, the last step
    that a fork shares, the rows up to it and those behind it are sampled apart: at most twice `samples`.
    """
    keys = list(dict.fromkeys(spec.get("keys") or ()))
    max_step = spec.get("maxStep")
    found = texts(db, pk, spec.get("minStep"), None if max_step is None else int(max_step) + 1)
    complete = [row for row in map(lines.parse_row, found) if _has_all(row, keys)]
    samples = int(spec.get("samples") or DEFAULT_SAMPLES)
    if branch is None:
        picked = pick(complete, samples)
    else:
        shared = [row for row in complete if (lines.step_in(row) or 0) <= branch]
        picked = pick(shared, samples) + pick(complete[len(shared) :], samples)
    return [to_safe_json(row if not keys else {key: dig(row, key)[1] for key in keys}) for row in picked]


def _has_all(row: dict[str, Any], keys: list[str]) -> bool:
    return all(dig(row, key)[0] for key in keys)


class Keys:
    """What a run's history holds: for each key the types seen, and the last step.

    Grows with each chunk. It is kept between chunks as the text that `Run.historyKeys` answers, so that
    a page of runs passes it on as it stands.
    """

    def __init__(self) -> None:
        self.last_step = -1
        self.keys: dict[str, dict[str, Any]] = {}
        self._is_empty = True

    @classmethod
    def from_json(cls, text: str | None) -> Keys:
        """Go on from a kept state; None starts afresh."""
        kept = cls()
        if text is not None:
            state = json.loads(kept_answer(text))
            kept.last_step, kept.keys, kept._is_empty = state["lastStep"], state["keys"], False
        return kept

    def to_json(self) -> str:
        """The state to keep."""
        return json.dumps(self._state())

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Count the keys of more rows."""
        for row in rows:
            step = lines.step_in(row)
            if step is not None:
                self.last_step = max(self.last_step, step)
            for key, value in leaves(row):
                self._add_value(key, value)
        self._is_empty = self._is_empty and not rows

    def _add_value(self, key: str, value: Any) -> None:
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = {"typeCounts": [], "monotonic": True, "previousValue": None}
        kind = kind_of(value)
        for one in known["typeCounts"]:
            if one["type"] == kind:
                one["count"] += 1
                break
        else:
            known["typeCounts"].append({"type": kind, "count": 1})
        if kind != "number" or not is_finite(value):
            known["monotonic"] = False
            return
        if known["previousValue"] is not None and value < known["previousValue"]:
            known["monotonic"] = False
        known["previousValue"] = value

    def answer(self) -> dict[str, Any] | None:
        """The value of `Run.historyKeys`; None where nothing is logged."""
        return None if self._is_empty else self._state()

    def _state(self) -> dict[str, Any]:
        for known in self.keys.values():
            known["typeCounts"].sort(key=_by_count)
        return {"keys": self.keys, "lastStep": self.last_step, "sets": []}


def _by_count(one: dict[str, Any]) -> tuple[int, str]:
    return -one["count"], one["type"]


_EARLIER_FORM = '{"rows": '


def kept_answer(text: str) -> str:
    """The value of `Run.historyKeys` as JSON, from the text that is kept.

    Until 2026-11 that text had a form of its own, which stores may still hold.
    """
    if not text.startswith(_EARLIER_FORM):
        return text
    state = json.loads(text)
    keys = {
        key: {
            "typeCounts": sorted(
                ({"type": kind, "count": n} for kind, n in known["types"].items()), key=_by_count
            ),
            "monotonic": known["monotonic"],
            "previousValue": known["previous"],
        }
        for key, known in state["keys"].items()
    }
    return json.dumps({"keys": keys, "lastStep": state["lastStep"], "sets": []})


def leaves(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a row; keys of nested objects are joined with dots, media objects are one value.

    Source: `wandb verify` of SDK 0.31.0 looks for a nested value under such a key (2026-11).
    """
    waiting = list(reversed(row.items()))
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict) and value and "_type" not in value:
            waiting += [(f"{key}.{inner}", deeper) for inner, deeper in reversed(value.items())]
        else:
            yield key, value


def kind_of(value: Any) -> str:
    """The name of a value's type: a media object's `_type`, or JSON's word for it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return str(value.get("_type", "map"))
    return "nil" if value is None else "list"


def update_keys(db: Connection, pk: int, offset: int, content: list[str], *, overwrites: bool) -> None:
    """Count the keys of a chunk just written; one that overwrites makes the next reader count again."""
    if not content:
        return
    if overwrites:
        db.execute("UPDATE run_texts SET history_keys = NULL WHERE run_id = ?", (pk,))
        return
    text = db.execute("SELECT history_keys FROM run_texts WHERE run_id = ?", (pk,)).get
    if text is None and offset:
        return
    keys = Keys.from_json(text)
    keys.add([lines.parse_row(line) for line in content])
    db.execute("UPDATE run_texts SET history_keys = ? WHERE run_id = ?", (keys.to_json(), pk))


def count_keys(db: Connection, pk: int) -> dict[str, Any] | None:
    """The value of `Run.historyKeys`, counted over all rows."""
    keys = Keys()
    keys.add([lines.parse_row(line) for line in texts(db, pk)])
    return keys.answer()
