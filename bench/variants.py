"""What is measured: each variant reads every run in a process of its own and says what it saw.

Run as `python -m bench.variants NAME URL`; imports and the SDK's start-up are outside the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.runs import ASKED, PATH, RUNS

LISTED = 200
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Seen:
    """What a variant read. Sorting and hashing it, for the check of equal work, is outside the clock."""

    ids: Iterable[str]
    total: float

    def told(self) -> dict[str, Any]:
        """What must be the same for all variants of a kind."""
        listed = sorted(self.ids)
        digest = hashlib.sha256(" ".join(listed).encode()).hexdigest()[:12]
        return {"runs": len(listed), "ids": digest, "total": round(self.total, 6)}


Variant = Callable[[], Seen]


def wandb_runs(url: str, per_page: int) -> Variant:
    """`Api().runs(lazy=False)`, two numbers of each run."""
    runs = _api(url).runs(PATH, per_page=per_page, lazy=False, order="+created_at")

    def read() -> Seen:
        found = [(run.id, run.summary["acc"] + run.config["lr"]) for run in runs]
        return Seen([name for name, _ in found], sum(value for _, value in found))

    return read


def wandb_table(url: str, per_page: int) -> Variant:
    """The same, every key of every run into one Arrow table."""
    import pyarrow as pa

    runs = _api(url).runs(PATH, per_page=per_page, lazy=False, order="+created_at")

    def read() -> Seen:
        rows = [
            {"id": run.id}
            | {f"config.{key}": value for key, value in run.config.items()}
            | {f"summary.{key}": value for key, value in run.summary_metrics.items()}
            for run in runs
        ]
        return _seen_in_table(pa.Table.from_pylist(rows))

    return read


def wandb_one_by_one(url: str) -> Variant:
    """`run.summary` of listed runs, as the SDK lists them unless told otherwise."""
    api = _api(url)

    def read() -> Seen:
        found = [(run.id, run.summary["acc"]) for run in api.runs(PATH, order="+created_at")[:LISTED]]
        return Seen([name for name, _ in found], sum(value for _, value in found))

    return read


def wbgql_listed(url: str) -> Variant:
    """The summaries of as many runs, in one request."""
    runs = _client(url).runs(PATH, select=['summary["acc"]'], limit=LISTED)

    def read() -> Seen:
        found = [(run.id, run.summary["acc"]) for run in runs]
        return Seen([name for name, _ in found], sum(value for _, value in found))

    return read


def wbgql_polars(url: str) -> Variant:
    """Two keys of every run as a Polars frame."""
    import polars  # noqa: F401 - imports are outside the clock
    import pyarrow  # noqa: F401

    runs = _client(url).runs(PATH, select=_asked())

    def read() -> Seen:
        frame = runs.to_polars()
        # Column by column: what is measured is getting the frame, not starting Polars' query engine.
        return Seen(frame["id"].to_list(), frame["summary.acc"].sum() + frame["config.lr"].sum())

    return read


def wbgql_frame(url: str) -> Variant:
    """Two keys of every run as an Arrow table, for its memory: nothing else is imported beforehand."""
    runs = _client(url).runs(PATH, select=_asked())

    def read() -> Seen:
        table = runs.to_arrow()
        columns = [table.column(name).to_pylist() for name in ("summary.acc", "config.lr")]
        return Seen(table.column("id").to_pylist(), sum(map(sum, columns)))

    return read


def wbgql_stream(url: str) -> Variant:
    """Two keys of every run, one run after the other."""
    runs = _client(url).runs(PATH, select=_asked())

    def read() -> Seen:
        ids, total = [], 0.0
        for run in runs:
            ids.append(run.id)
            total += run.summary["acc"] + run.config["lr"]
        return Seen(ids, total)

    return read


def wbgql_table(url: str) -> Variant:
    """Every key of every run as one Arrow table."""
    import pyarrow.compute  # noqa: F401 - imports are outside the clock

    runs = _client(url).runs(PATH, select="*")

    def read() -> Seen:
        return _seen_in_table(runs.to_arrow())

    return read


def floor(url: str) -> Variant:
    """requests + orjson: decodes everything, keeps nothing but the two numbers."""
    import orjson
    import requests

    session = requests.Session()

    def read() -> Seen:
        ids: list[str] = []
        total, after, more = 0.0, None, True
        while more:
            asked = {
                "operationName": "FloorRuns",
                "query": "query FloorRuns",
                "variables": {"first": 1000, "after": after},
            }
            answer = orjson.loads(session.post(f"{url}/graphql", json=asked, timeout=60).content)
            runs = answer["data"]["project"]["runs"]
            for edge in runs["edges"]:
                node = edge["node"]
                config, summary = orjson.loads(node["config"]), orjson.loads(node["summaryMetrics"])
                ids.append(node["name"])
                total += summary["acc"] + config["lr"]["value"]
            more, after = runs["pageInfo"]["hasNextPage"], runs["pageInfo"]["endCursor"]
        return Seen(ids, total)

    return read


VARIANTS: dict[str, Callable[[str], Variant]] = {
    "wandb page 50": lambda url: wandb_runs(url, 50),
    "wandb page 1000": lambda url: wandb_runs(url, 1000),
    "wandb table 50": lambda url: wandb_table(url, 50),
    "wandb table 1000": lambda url: wandb_table(url, 1000),
    "wandb one by one": wandb_one_by_one,
    "requests + orjson": floor,
    "wbgql polars": wbgql_polars,
    "wbgql stream": wbgql_stream,
    "wbgql frame": wbgql_frame,
    "wbgql table": wbgql_table,
    "wbgql listed": wbgql_listed,
}


def _asked() -> list[str]:
    return [f'{section}["{key}"]' for section, key in ASKED.items()]


def _client(url: str) -> Any:
    import gql.transport.requests  # noqa: F401 - imports are outside the clock
    import requests  # noqa: F401

    import wbgql

    client = wbgql.Client(base_url=url, api_key="k" * 40)
    for name in ("ListRuns", "ListFields"):
        client.documents.get(name)
    # Connected and checked outside the clock, as is the SDK: it asks for the viewer when runs are listed.
    client.runs(PATH).count()
    return client


def _api(url: str) -> Any:
    os.environ |= {
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": "k" * 40,
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
    }
    import wandb

    return wandb.Api(timeout=120)


def _seen_in_table(table: Any) -> Seen:
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0.0
    for column in table.columns:
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            total += pc.sum(column).as_py() or 0.0  # an attribute that this server does not have is null
    assert table.num_rows == RUNS, table.num_rows
    return Seen(table.column("id").to_pylist(), round(total, 3))


def _children() -> list[int]:
    """This process's children, at any depth: the SDK does part of its work in one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, waiting = [], [os.getpid()]
    while waiting:
        pid = waiting.pop()
        kids = [child for child, parent in parents.items() if parent == pid]
        found += kids
        waiting += kids
    return found


def _cpu_s() -> float:
    own = time.process_time()
    for pid in _children():
        parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own += (int(parts[11]) + int(parts[12])) * _TICK_S
    return own


def _peak_mb() -> float:
    total = 0.0
    for pid in (os.getpid(), *_children()):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                total += int(line.split()[1]) / 1024
    return total


def main() -> None:
    """Measure one variant and print the outcome as JSON."""
    name, url = sys.argv[1:]
    read = VARIANTS[name](url)
    cpu, wall = _cpu_s(), time.perf_counter()
    seen = read()
    wall, cpu = time.perf_counter() - wall, _cpu_s() - cpu
    peak = _peak_mb()
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, **seen.told()}))


if __name__ == "__main__":
    main()
