"""Asks the same questions through `wandb.Api()`; the demo runs it as a process of its own.

    python -m wbgql.demo.api_reads find | changed RUN | visible RUN...

Prints one JSON document.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import wandb

from wbgql.demo.training import PROJECT

# What a script that uses the SDK alone would write: the same filter, as the SDK wants it.
FILTERS = {
    "$and": [
        {"summary_metrics.val/acc": {"$gt": 0.9}},
        {"state": "finished"},
        {"$or": [{"tags": None}, {"tags": {"$ne": "keep"}}]},
    ]
}
ORDER = "-summary_metrics.val/acc"


def find(api: wandb.Api, limit: int) -> Any:
    """Ids and two numbers of the best runs."""
    found = []
    for run in api.runs(PROJECT, filters=FILTERS, order=ORDER):
        found.append([run.id, run.summary.get("val/acc"), run.config.get("lr")])
        if len(found) == limit:
            break
    return found


def changed(api: wandb.Api, run_id: str) -> Any:
    """Tags and config of one run."""
    run = api.run(f"{PROJECT}/{run_id}")
    return {"tags": sorted(run.tags), "reviewed": run.config.get("reviewed")}


def visible(api: wandb.Api, run_ids: list[str]) -> Any:
    """For each run: is it in the list, and does it answer by its id?"""
    listed = {run.id for run in api.runs(PROJECT, per_page=500)}
    return {run_id: {"listed": run_id in listed, "answers": _answers(api, run_id)} for run_id in run_ids}


def _answers(api: wandb.Api, run_id: str) -> str:
    try:
        return str(api.run(f"{PROJECT}/{run_id}").state)
    except (ValueError, wandb.Error) as error:
        return str(error)


def main(arguments: list[str]) -> None:
    """Print the answer to one question."""
    api = wandb.Api()
    match arguments:
        case ["find", limit]:
            answer = find(api, int(limit))
        case ["changed", run_id]:
            answer = changed(api, run_id)
        case ["visible", *run_ids]:
            answer = visible(api, run_ids)
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
