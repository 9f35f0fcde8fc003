"""A stand-in for a server full of runs: it pages by offset, and its population moves when told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests.fakes import data_reply, error_reply
from wbgql.documents import Prepared
from wbgql.filters import filter_matches
from wbgql.runs.scanning import offset_of, to_cursor
from wbgql.wire.transport import Reply

Change = Callable[["RunsTransport"], object]


def make_run(number: int, *, at: int | None = None, **values: Any) -> dict[str, Any]:
    """Run `r<number>`, created at minute `at` (its number by default). `values`: config, summary, host, ..."""
    minute = number if at is None else at
    return {
        "name": f"r{number}",
        "createdAt": f"2026-01-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00",
        "config": {},
        "summary": {},
        **values,
    }


class RunsTransport:
    """Answers what selections ask, out of `projects`: name -> runs, in order of creation.

    `before`: changes made before the n-th page (from 0) is answered. `takes_keys` and `ignores_keys`
    are the habits of older servers. `page_reply` may replace the answer to a page. Every answer but the
    first `delay` is called before, so that a test may be slow. `.sent` as in `FakeTransport`.
    """

    def __init__(
        self,
        *runs: dict[str, Any],
        projects: Mapping[str, Sequence[dict[str, Any]]] | None = None,
        before: Mapping[int, Change] | None = None,
        takes_keys: bool = True,
        ignores_keys: bool = False,
        fields: Mapping[str, str] | None = None,
        reads_patterns: bool = False,
        page_reply: Callable[[int, dict[str, Any]], Reply | None] = lambda _number, _data: None,
        delay: Callable[[], object] = lambda: None,
    ) -> None:
        self.projects = {name: list(found) for name, found in (projects or {"vision": runs}).items()}
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self._before = dict(before or {})
        self._takes_keys = takes_keys
        self._ignores_keys = ignores_keys
        self._fields = fields
        self._reads_patterns = reads_patterns
        self._page_reply = page_reply
        self._delay = delay
        self._pages = 0
        self._lock = threading.Lock()

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs of the one project there is."""
        return self.projects["vision"]

    def names_sent(self) -> list[str]:
        """Names of the operations, in the order sent."""
        return [name for name, _ in self.sent]

    def send(self, prepared: Prepared, variables: Mapping[str, Any]) -> Reply:
        self._delay()
        with self._lock:
            self.sent.append((prepared.name, dict(variables)))
            self.texts.append(prepared.text)
            return getattr(self, f"_{prepared.name}")(dict(variables))

    def close(self) -> None:
        """Nothing to give back."""

    def _ListProjects(self, _variables: dict[str, Any]) -> Reply:
        nodes = [
            {
                "id": f"P-{name}",
                "name": name,
                "entityName": "acme",
                "createdAt": "2026-01-01",
                "readOnly": None,
            }
            for name in self.projects
        ]
        edges = [{"cursor": name["id"], "node": name} for name in nodes]
        return data_reply(
            {"projects": {"pageInfo": {"hasNextPage": False, "endCursor": None}, "edges": edges}}
        )

    def _GetEntity(self, variables: dict[str, Any]) -> Reply:
        return data_reply({"entity": {"id": "E", "available": variables["entity"] != "acme"}})

    def _ListFields(self, variables: dict[str, Any]) -> Reply:
        if self._fields is None:
            return error_reply('Cannot query field "fields" on type "Project".', status=400)
        pattern = (variables.get("pattern") or "").strip("%*") if self._reads_patterns else ""
        nodes = [
            {"path": path, "type": kind}
            for path, kinds in self._fields.items()
            for kind in kinds.split("|")
            if pattern in path
        ]
        offset, first = int(variables.get("after") or 0), variables["first"]
        more = offset + first < len(nodes)
        page = {
            "pageInfo": {"hasNextPage": more, "endCursor": str(offset + first) if more else None},
            "edges": [{"cursor": None, "node": node} for node in nodes[offset : offset + first]],
        }
        return data_reply(
            {"project": {"fields": page}} if variables["project"] in self.projects else {"project": None}
        )

    def _CountRuns(self, variables: dict[str, Any]) -> Reply:
        found = self._matching(variables)
        return data_reply({"project": None if found is None else {"runCount": len(found)}})

    def _CompareCounts(self, variables: dict[str, Any]) -> Reply:
        counts = [self._matching({**variables, "filters": text}) for text in (variables["filters"], "{}")]
        if counts[0] is None or counts[1] is None:
            return data_reply({"project": None})
        others = self._matching({**variables, "filters": variables["others"]}) or []
        found = {"runCount": len(counts[0]), "others": len(others), "all": len(counts[1])}
        return data_reply({"project": found})

    def _ListRuns(self, variables: dict[str, Any]) -> Reply:
        if not self._takes_keys:
            if errors := list(_refusals(self.texts[-1])):
                return Reply(status=400, errors=errors)
            variables |= {"configKeys": None, "summaryKeys": None, "withTotal": False}
        return self._page(variables)

    def _page(self, variables: dict[str, Any]) -> Reply:
        change = self._before.pop(self._pages, None)
        if change is not None:
            change(self)
        self._pages += 1
        found = self._matching(variables)
        if found is None:
            return data_reply({"project": None})
        order = variables["order"]
        if order.startswith(("+summary_metrics.", "-summary_metrics.")):
            key = order.partition(".")[2]
            found.sort(key=lambda run: run["summary"].get(key, 0), reverse=order[0] == "-")
        offset = 0 if variables["after"] is None else (offset_of(variables["after"]) or 0) + 1
        rows = found[offset : offset + variables["first"]]
        data = {
            "project": {
                "runs": {
                    "pageInfo": {
                        "hasNextPage": offset + len(rows) < len(found),
                        "endCursor": to_cursor(offset + len(rows) - 1) if rows else None,
                    },
                    "edges": [
                        {"cursor": to_cursor(offset + index), "node": self._node(run, variables)}
                        for index, run in enumerate(rows)
                    ],
                    **({"totalCount": len(found)} if variables.get("withTotal") else {}),
                }
            }
        }
        return self._page_reply(self._pages - 1, data) or data_reply(data)

    def _matching(self, variables: dict[str, Any]) -> list[dict[str, Any]] | None:
        runs = self.projects.get(variables["project"])
        filters = json.loads(variables["filters"])
        return None if runs is None else [run for run in runs if filter_matches(filters, _document(run))]

    def _node(self, run: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        node: dict[str, Any] = {
            "id": f"S-{variables['project']}-{run['name']}",
            "name": run["name"],
            "displayName": run.get("displayName", run["name"]),
            "state": run.get("state", "finished"),
            "tags": run.get("tags", []),
            "group": run.get("group"),
            "jobType": None,
            "sweepName": None,
            "createdAt": run["createdAt"],
            "heartbeatAt": None,
            "user": None,
        }
        if variables["withDetails"]:
            node |= {"host": run.get("host"), "updatedAt": None, "computeSeconds": run.get("duration", 0)}
        if variables["withNotes"]:
            node["notes"] = run.get("notes")
        if variables["withConfig"]:
            wrapped = {key: {"value": value} for key, value in run["config"].items()}
            node["config"] = self._text(wrapped, variables.get("configKeys"))
        if variables["withSummary"]:
            node["summaryMetrics"] = self._text(run["summary"], variables.get("summaryKeys"))
        return node

    def _text(self, values: dict[str, Any], keys: list[str] | None) -> str:
        if keys is None or self._ignores_keys:
            return json.dumps(values)
        return json.dumps({key: values[key] for key in keys if key in values})


def _refusals(text: str) -> Iterator[dict[str, Any]]:
    """What a server that knows no `keys` and no `totalCount` says of a text that holds them."""
    for field in ("config", "summaryMetrics"):
        if f"{field}(keys:" in text:
            yield {"message": f'Unknown argument "keys" on field "{field}" of type "Run".'}
    if "totalCount" in text:
        yield {"message": 'Cannot query field "totalCount" on type "RunConnection".'}


def _document(run: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": run["name"],
        "displayName": run.get("displayName", run["name"]),
        "tags": run.get("tags", []),
        "createdAt": f"{run['createdAt']}Z",
        "state": run.get("state", "finished"),
        "config": {key: {"value": value} for key, value in run["config"].items()},
        "summary_metrics": run["summary"],
    }
