"""Rows of a history: decoded, cut to keys, joined by step. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from wbgql.errors import ResultError, UsageError
from wbgql.scalars import NON_FINITE_TEXTS, dump_json, parse_json

Row: TypeAlias = dict[str, Any]
"""What was logged at one step, under the keys it was logged by; `_step` among them."""

STEP = "_step"
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
MAX_STEP = 2**62
"""Above any step that is logged, and one that GraphQL's `Int64` holds."""
TIMESTAMP = "_timestamp"
# The SDK puts these into every row, so that a row with nothing else holds no metric.
COMPANIONS = (STEP, TIMESTAMP, "_runtime")

# Asking key by key repeats the step in each row and makes the server look once for each key: worth it
# only where whole rows are this many times wider.
_MUCH_WIDER = 4

ABSENT = object()
"""Where a row holds nothing; null is something."""


def check_keys(keys: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the keys in order, each once; None stands for every key.

    Raises:
        UsageError: a bare text, no key at all, or something that is no key.
    """
    if keys is None:
        return None
    if isinstance(keys, str):
        raise UsageError(f"keys are a list: write [{keys!r}]")
    listed = tuple(dict.fromkeys(keys))
    wrong = [key for key in listed if not isinstance(key, str) or not key]
    if wrong or not listed:
        raise UsageError(f"keys of a history are texts, and at least one: not {wrong[:1] or 'none'}")
    return listed


def metrics_of(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys without `_step`, `_timestamp` and `_runtime`."""
    return tuple(key for key in keys if key not in COMPANIONS)


def decode_rows(texts: Iterable[str], *, operation: str) -> list[Row]:
    """Decode rows that travel as JSON texts; bare NaN and infinities become floats.

    Raises:
        ResultError: a text is no JSON object.
    """
    return [decode_row(text, operation=operation) for text in texts]


def decode_row(text: str, *, operation: str) -> Row:
    """Decode one JSON object that travels as a text; see `decode_rows`."""
    try:
        row = parse_json(text)
    except ValueError as error:
        what = f"a row is not JSON that can be read ({error}): {text[:80]!r}"
        raise ResultError(what, operation=operation) from error
    if not isinstance(row, dict):
        raise ResultError(f"a row is not a JSON object: {text[:80]!r}", operation=operation)
    return row


def step_of(row: Row) -> int | None:
    """The step of a row, None where it has none that a server could be asked for.

    A whole number that came as a text counts as a step.
    """
    step = row.get(STEP)
    if isinstance(step, str) and _WHOLE_NUMBER.fullmatch(step):
        step = int(step)
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not abs(step) < MAX_STEP:
        return None
    return int(step) if step == int(step) else None


def cut(row: Row, keys: Sequence[str]) -> Row:
    """Return `_step` and those of `keys` that the row holds.

    A key with dots is looked up as it is, then as nesting.
    """
    found = {STEP: row[STEP]} if STEP in row else {}
    for key in keys:
        value = dig(row, key)
        if value is not ABSENT:
            found[key] = value
    return found


def pick(row: Row, keys: Sequence[str]) -> Row | None:
    """Return the row cut to `keys`, or None where it holds none of them.

    `_timestamp` and `_runtime` do not make a row worth keeping unless nothing else was asked for.
    """
    found = cut(row, keys)
    return found if any(key in found for key in metrics_of(keys) or keys) else None


def pick_rows(rows: Iterable[Row], keys: Sequence[str] | None) -> list[Row]:
    """Return the rows that `pick` keeps; all of them, whole, where `keys` is None."""
    if keys is None:
        return list(rows)
    return [found for row in rows if (found := pick(row, keys)) is not None]


def dig(row: Row, key: str) -> Any:
    """Return the value at `key`, or `ABSENT`; see `cut`."""
    if key in row or "." not in key:
        return row.get(key, ABSENT)
    value: Any = row
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


def make_specs(
    keys: Sequence[str],
    *,
    samples: int,
    min_step: int = 0,
    max_step: int | None = None,
    together: bool = False,
) -> list[str]:
    """Return one spec of `sampledHistory` for each metric, so that rows need not hold all of them.

    `_timestamp` and `_runtime` ride along with every metric. `together` gives one spec for all keys.
    `max_step` is exclusive here.

    Source: wandb SDK 0.31.0 `core/internal/runhistoryreader` (2026-11): `maxStep` of a spec is inclusive.
    """
    riders = [key for key in keys if key in COMPANIONS and key != STEP]
    limits: Row = {"samples": samples}
    if min_step:
        limits["minStep"] = min_step
    if max_step is not None:
        limits["maxStep"] = max_step - 1
    metrics = metrics_of(keys)
    alone = together or not metrics
    groups = [[STEP, *riders, *metrics]] if alone else [[STEP, *riders, metric] for metric in metrics]
    return [dump_json({"keys": group, **limits}) for group in groups]


def make_exact_specs(
    keys: Sequence[str], *, samples: int, min_step: int = 0, max_step: int | None = None
) -> list[str]:
    """Return a spec for the steps and one for each key, so that together they bring every row.

    `samples` must be larger than the number of rows.
    """
    groups = [[STEP], *([key] for key in keys if key != STEP)]
    made = (make_specs(group, samples=samples, min_step=min_step, max_step=max_step) for group in groups)
    return [spec for specs in made for spec in specs]


def merge_samples(lists: Iterable[Iterable[Row]]) -> list[Row]:
    """Join the answers to several specs into one row per step, in order of steps.

    If one answer has several rows of a step, the first of each answer are joined, then the second, and so
    on. Rows without a step come last, each by itself: nothing says which of them belong together.

    NaN and infinities, which these rows carry as texts, become floats; a metric logged as the text "NaN"
    cannot be told apart from them.
    """
    joined: dict[tuple[int, int], Row] = {}
    stepless: list[Row] = []
    for rows in lists:
        seen: Counter[int] = Counter()
        for row in rows:
            values = {key: _restored(value) for key, value in row.items()}
            step = step_of(row)
            if step is None:
                stepless.append(values)
                continue
            joined.setdefault((step, seen[step]), {}).update(values)
            seen[step] += 1
    return [*(joined[place] for place in sorted(joined)), *stepless]


def keys_with_gaps(lists: Sequence[Sequence[Row]], keys: Sequence[str], samples: int) -> list[str]:
    """Return the metrics among `keys` that some joined row lacks although they may have been logged there.

    `lists` are the answers to one spec for each metric. A metric that came with fewer rows than `samples`
    came whole, so that a row lacks it only where it was not logged.

    Source: `sampledHistory` samples only if it finds more rows than `samples` (W&B engineer, 2026).
    """
    steps = {step for rows in lists for step in steps_of(rows)}
    pairs = zip(metrics_of(keys), lists, strict=False)
    return [key for key, rows in pairs if len(rows) >= samples and not steps <= set(steps_of(rows))]


def steps_of(rows: Iterable[Row]) -> list[int]:
    """The steps of rows, in the order of the rows; rows without one are left out."""
    return [step for row in rows if (step := step_of(row)) is not None]


def within(rows: Iterable[Row], start: int, end: int) -> list[Row]:
    """The rows with start <= `_step` < end, and those without a step."""
    return [row for row in rows if (step := step_of(row)) is None or start <= step < end]


def is_cheaper_by_key(rows: Collection[Row], keys: Sequence[str] | None) -> bool:
    """Whether rows like these are better asked for key by key than whole."""
    if keys is None or not rows:
        return False
    return sum(map(len, rows)) / len(rows) >= _MUCH_WIDER * (1 + len(keys))


def _restored(value: Any) -> Any:
    return NON_FINITE_TEXTS.get(value, value) if isinstance(value, str) else value
