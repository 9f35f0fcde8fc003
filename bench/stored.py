"""A store of many runs with many keys, written straight into it, and what is true of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bench.runs import config_of, summary_of
from tests.bulk import FIRST_INSTANT, STATES, BulkRun, write_runs
from wbgql.server import add_user

ENTITY, PROJECT, KEY = "admin", "bench", "k" * 40


@dataclass(frozen=True)
class Truth:
    """Of each run what the questions ask for: name, `summary.acc`, `config.lr`, state; oldest first."""

    runs: list[tuple[str, float, float, str]]


def make_store(data: Path, count: int) -> Truth:
    """Write `count` runs of 30 config and 100 summary keys, unless `data` holds them already.

    Takes about a minute of CPU and a gigabyte for 100,000; a store that is there only has its truth made again.
    """
    truth: list[tuple[str, float, float, str]] = []
    made = _make(count, truth)
    if (data / "wbgql.sqlite").exists():
        for _ in made:
            pass
    else:
        add_user(data, ENTITY, KEY, admin=True)
        write_runs(data, PROJECT, made, entity=ENTITY)
    return Truth(truth)


def _make(count: int, truth: list[tuple[str, float, float, str]]) -> Iterator[BulkRun]:
    chance = random.Random(4)
    for number in range(count):
        config, summary = config_of(chance), summary_of(chance)
        name, state = f"r{number:07x}", STATES[number % 7 % 4]
        truth.append((name, summary["acc"], config["lr"], state))
        yield BulkRun(
            name=name,
            display_name=f"swift-river-{number}",
            state=state,
            tags=("baseline", "v2")[: number % 3],
            created_at=FIRST_INSTANT + timedelta(seconds=number),
            group=f"group-{number % 20}",
            job_type="train",
            config=config,
            summary=summary,
        )
