"""Histories, system metrics and console lines through the client."""

from __future__ import annotations

from collections.abc import Iterable

from wbgql.client.connecting import Connected
from wbgql.downloads import DEFAULT_THREADS
from wbgql.history import (
    ConsoleLine,
    HistoryExports,
    HistoryScan,
    HistorySelection,
    Row,
    get_history_exports,
    get_last_console_lines,
    iter_console_lines,
    iter_system_metrics,
    sample_history,
    scan_history,
)
from wbgql.history import Source as HistorySource
from wbgql.lazy import LazyList, described
from wbgql.paths import ProjectLike, RunLike, is_one_run


class Histories(Connected):
    """What runs logged."""

    def scan_history(
        self,
        run: RunLike,
        *,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        page_size: int = 1000,
        source: HistorySource = "server",
    ) -> HistoryScan:
        """Return every logged row of a run, to be iterated, in order of steps; see `HistoryScan`."""
        return scan_history(
            self.session,
            self.run_path(run),
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
        )

    def sample_history(
        self,
        run: RunLike,
        keys: Iterable[str],
        *,
        samples: int = 500,
        min_step: int = 0,
        max_step: int | None = None,
        together: bool = False,
    ) -> list[Row]:
        """Return up to `samples` rows for each key, chosen by the server, joined by step. One request."""
        return sample_history(
            self.session,
            self.run_path(run),
            keys,
            samples=samples,
            min_step=min_step,
            max_step=max_step,
            together=together,
        )

    def history(
        self,
        runs: RunLike | Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        keys: Iterable[str] | None = None,
        min_step: int = 0,
        max_step: int | None = None,
        samples: int | None = None,
        workers: int = 4,
        page_size: int = 1000,
        source: HistorySource = "server",
    ) -> HistorySelection:
        """Select histories of one run, a list of runs or a selection; see `HistorySelection`.

        Sends nothing yet. All rows are read, or up to `samples` for each key. Bare ids in a list need
        `project`: the default project is not used for lists.
        """
        home = None if project is None else self.project_path(project)
        return HistorySelection(
            self.session,
            [self.run_path(runs)] if is_one_run(runs) else runs,
            keys=keys,
            min_step=min_step,
            max_step=max_step,
            samples=samples,
            workers=workers,
            page_size=page_size,
            source=source,
            downloader=self._downloader(DEFAULT_THREADS, None),
            read_path=lambda run: self._listed_run(run, home),
        )

    def history_exports(self, run: RunLike) -> HistoryExports:
        """Return where the Parquet files of a run's history are, if the server has any. One request."""
        return get_history_exports(self.session, self.run_path(run))

    def system_metrics(
        self, run: RunLike, *, keys: Iterable[str] | None = None, samples: int | None = None
    ) -> LazyList[Row]:
        """Yield what the machine of a run measured, in order of time. One request, or two."""
        path = self.run_path(run)
        rows = iter_system_metrics(self.session, path, keys=keys, samples=samples)
        return LazyList(described("system_metrics", path, samples=samples), rows)

    def console_lines(self, run: RunLike) -> LazyList[ConsoleLine]:
        """Yield every line that a run printed, in order. One request a page, lazily."""
        path = self.run_path(run)
        return LazyList(described("console_lines", path), iter_console_lines(self.session, path))

    def last_console_lines(self, run: RunLike, count: int) -> list[ConsoleLine]:
        """Return the last `count` lines that a run printed. One request."""
        return get_last_console_lines(self.session, self.run_path(run), count)
