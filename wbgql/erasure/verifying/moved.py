"""Searches the other projects for runs that answer as absent: one that was moved is there, and not gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wbgql.deletes import Elsewhere, search_elsewhere
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.verifying.claims import Item
from wbgql.erasure.verifying.settling import State
from wbgql.paths import ProjectPath, RunPath
from wbgql.wire.session import Session


@dataclass(frozen=True)
class Moved:
    """Claimed runs that stand in another project of their entity, and what was searched for them."""

    runs: Mapping[Item, RunPath]
    search: Elsewhere

    @property
    def counts(self) -> dict[str, int]:
        """The search in numbers, for a verification's `counts`."""
        return {
            "projects_searched": len(self.search.searched),
            "projects_not_searched": len(self.search.unread),
            "entities_not_searched": len(self.search.unlisted),
        }

    def limits(self) -> Iterator[str]:
        """Say in words what was found, and what could not be searched."""
        if self.runs:
            yield f"{len(self.runs)} runs were not in their project and stand in another one of their entity"
        if self.search.unread:
            yield f"{len(self.search.unread)} more projects of their entities could not be searched"
        if self.search.unlisted:
            yield f"the projects of {len(self.search.unlisted)} entities could not be listed and searched"


def find_moved(session: Session, plan: Plan, states: Mapping[Item, State]) -> Moved:
    """Search for every claimed run that was not seen in its own project. See `search_elsewhere`.

    A run of the same id that was made at another time is another run.
    """
    absent = [item for item, state in states.items() if item.kind == "run" and state != "present"]
    missing: dict[ProjectPath, list[str]] = {}
    for item in absent:
        missing.setdefault(item.project, []).append(item.key)
    search = search_elsewhere(session, missing)
    found = ((item, search.of(*_known(plan, item))) for item in absent)
    return Moved(runs={item: path for item, path in found if path is not None}, search=search)


def _known(plan: Plan, item: Item) -> tuple[RunPath, str]:
    planned = plan.runs[item.run_no]
    return planned.path, planned.created_at
