"""Puts the questions of a verification to the server, many at once, and keeps what is worth naming."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from wbgql.erasure.verifying.claims import MUST_GO, Item, ItemKind
from wbgql.erasure.verifying.file_urls import FileUrls
from wbgql.erasure.verifying.operations import FoundCollection
from wbgql.erasure.verifying.reads import Reads
from wbgql.erasure.verifying.settling import Answer
from wbgql.paths import ProjectPath


class Asking:
    """Answers items of every kind. `system`: the server's own collections that were found.

    `numbers` gives the run number in the plan of each claimed run.
    """

    def __init__(self, reads: Reads, urls: FileUrls | None, run_ids: Callable[[int], str]) -> None:
        self.reads = reads
        self.system: dict[Item, FoundCollection] = {}
        self._urls = urls
        self._run_ids = run_ids

    def __call__(self, items: Sequence[Item]) -> dict[Item, Answer]:
        """Ask once about each item, with controls chosen again."""
        self.reads.renew_controls()
        answers: dict[Item, Answer] = {}
        for (kind, project), group in _grouped(items):
            answers |= self._ask(kind, project, group)
        return answers

    def _ask(self, kind: ItemKind, project: ProjectPath, items: list[Item]) -> dict[Item, Answer]:
        match kind:
            case "run" | "fork":
                return _by_key(items, self.reads.runs(project, _keys(items)))
            case "artifact" | "kept":
                return _by_key(items, self.reads.versions(project, _keys(items)))
            case "system":
                return self._system(project, items)
            case "file":
                return {item: self._file(item) for item in items}

    def _system(self, project: ProjectPath, items: list[Item]) -> dict[Item, Answer]:
        found = self.reads.collections(project, _keys(items))
        answers: dict[Item, Answer] = {}
        for item in items:
            collection = found.get(item.key)
            there = collection is not None and collection.is_system and collection.holds_something
            if there and collection is not None:
                self.system[item] = collection
            answers[item] = "present" if there else "absent" if item.key in found else "unknown"
        return answers

    def _file(self, item: Item) -> Answer:
        assert self._urls is not None  # no question about a file is put without
        return self._urls.ask(item.project, self._run_ids(item.run_no), item.key)


def hoped_for(item: Item) -> Answer | None:
    """What is to come back; None for left-overs, which are told as they are."""
    if item.kind in MUST_GO:
        return "absent"
    return "present" if item.kind == "kept" else None


def _grouped(items: Sequence[Item]) -> Iterator[tuple[Any, list[Item]]]:
    def place(item: Item) -> tuple[ItemKind, str, str]:
        return item.kind, item.project.entity, item.project.project

    for _, group in groupby(sorted(items, key=place), key=place):
        together = list(group)
        yield (together[0].kind, together[0].project), together


def _keys(items: list[Item]) -> list[str]:
    return list(dict.fromkeys(item.key for item in items))


def _by_key(items: list[Item], answers: dict[str, Answer]) -> dict[Item, Answer]:
    return {item: answers[item.key] for item in items}
