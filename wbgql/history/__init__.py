"""Logged rows of runs: all of them or sampled, of one run or many, and what the machine and console said."""

from __future__ import annotations

from wbgql.history.coverage import HistoryCoverage
from wbgql.history.exports import HistoryExports, get_history_exports
from wbgql.history.many import HistoryRow, HistorySelection
from wbgql.history.operations import OPERATIONS
from wbgql.history.rows import Row
from wbgql.history.sampling import sample_history
from wbgql.history.scanning import HistoryScan, Source, scan_history
from wbgql.history.streams import (
    ConsoleLine,
    get_last_console_lines,
    iter_console_lines,
    iter_system_metrics,
)

__all__ = [
    "OPERATIONS",
    "ConsoleLine",
    "HistoryCoverage",
    "HistoryExports",
    "HistoryRow",
    "HistoryScan",
    "HistorySelection",
    "Row",
    "Source",
    "get_history_exports",
    "get_last_console_lines",
    "iter_console_lines",
    "iter_system_metrics",
    "sample_history",
    "scan_history",
]
