"""Runs: a lazy selection that the server filters, orders and projects, and one run."""

from __future__ import annotations

from wbgql.runs.explaining import Explanation, explain
from wbgql.runs.ids import iter_run_ids, list_run_ids
from wbgql.runs.key_lists import look_up_keys
from wbgql.runs.nodes import (
    DEFAULT_ORDER,
    LOGGING_STATES,
    MAX_PAGE_SIZE,
    OPERATIONS,
    DecidingRun,
    RunNode,
    RunPage,
)
from wbgql.runs.questions import OnUnstable, OrderLike, Select, Where
from wbgql.runs.run import AmbiguousName, Run, get_run
from wbgql.runs.scopes import Coverage, ProjectCoverage, ProjectPattern, ProjectScope, Unread
from wbgql.runs.selection import RunSelection

__all__ = [
    "RunSelection",
    "Run",
    "DecidingRun",
    "RunNode",
    "RunPage",
    "get_run",
    "iter_run_ids",
    "list_run_ids",
    "look_up_keys",
    "AmbiguousName",
    "Coverage",
    "ProjectCoverage",
    "Unread",
    "Explanation",
    "explain",
    "ProjectPattern",
    "ProjectScope",
    "OnUnstable",
    "OrderLike",
    "Select",
    "Where",
    "DEFAULT_ORDER",
    "LOGGING_STATES",
    "MAX_PAGE_SIZE",
    "OPERATIONS",
]
