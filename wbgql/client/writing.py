"""Changing and deleting through the client. Every deletion passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from wbgql.bars import terminal_bar
from wbgql.client.connecting import Connected
from wbgql.deletes import (
    ArtifactDeletion,
    Deletion,
    FileDeletion,
    Preview,
    Undeletion,
    delete_artifact,
    delete_files,
    delete_run,
    delete_runs,
    preview_delete,
    preview_deletes,
    undelete_runs,
)
from wbgql.errors import UsageError
from wbgql.limiting import DEFAULT_RATE, Limits
from wbgql.paths import ProjectPath, RunPath
from wbgql.progress import NoProgress, Progress
from wbgql.runs import Run
from wbgql.upserts import Upsert, add_tags, remove_tags, set_config, set_summary, set_tags, upsert_run


class Writing(Connected):
    """Upserts, deletions, and bringing back."""

    def upsert_run(
        self,
        path: str | RunPath,
        *,
        display_name: str | None = None,
        notes: str | None = None,
        tags: Iterable[str] | None = None,
        group: str | None = None,
        job_type: str | None = None,
        config: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        state: str | None = None,
        force: bool = False,
    ) -> Upsert:
        """Create a run or change it; see `wbgql.upserts.upsert_run`. Three requests."""
        return upsert_run(
            self.session,
            self.run_path(path),
            display_name=display_name,
            notes=notes,
            tags=tags,
            group=group,
            job_type=job_type,
            config=config,
            summary=summary,
            state=state,
            force=force,
        )

    def set_tags(self, path: str | RunPath, tags: Iterable[str], *, force: bool = False) -> Run:
        """Replace all tags of a run."""
        return set_tags(self.session, self.run_path(path), tags, force=force)

    def add_tags(self, path: str | RunPath, *tags: str, force: bool = False) -> Run:
        """Add tags to those a run has."""
        return add_tags(self.session, self.run_path(path), *tags, force=force)

    def remove_tags(self, path: str | RunPath, *tags: str, force: bool = False) -> Run:
        """Remove tags from those a run has."""
        return remove_tags(self.session, self.run_path(path), *tags, force=force)

    def set_config(self, path: str | RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
        """Set config keys of a run, keeping the others."""
        return set_config(self.session, self.run_path(path), values, force=force)

    def set_summary(self, path: str | RunPath, values: Mapping[str, Any], *, force: bool = False) -> Run:
        """Set summary keys of a run, keeping the others."""
        return set_summary(self.session, self.run_path(path), values, force=force)

    def preview_delete(self, path: str | RunPath, *, force: bool = False) -> Preview:
        """Say what `delete_run` would do to a run now; sends no mutation."""
        return preview_delete(self.session, self.run_path(path), holds=self.holds, force=force)

    def preview_deletes(
        self, paths: Iterable[str | RunPath], *, force: bool = False, progress: Progress | bool = False
    ) -> list[Preview]:
        """Say what `delete_runs` would do now; see `wbgql.deletes.preview_deletes`. A request for 25 runs."""
        resolved = self._named_runs(paths)
        with _reporter(progress, "looking runs up") as reporter:
            return preview_deletes(self.session, resolved, holds=self.holds, force=force, progress=reporter)

    def delete_run(self, path: str | RunPath, *, force: bool = False) -> Deletion:
        """Hide one run and prove it by an independent read; see `wbgql.deletes.delete_run`."""
        return delete_run(self.session, self.run_path(path), holds=self.holds, force=force)

    def delete_runs(
        self,
        paths: Iterable[str | RunPath],
        *,
        force: bool = False,
        rate: float = DEFAULT_RATE,
        progress: Progress | bool = False,
        on_result: Callable[[Deletion], None] = lambda _: None,
        check: bool = True,
    ) -> list[Deletion]:
        """Hide runs of one project or several; return one outcome per run, in order.

        At most `rate` requests per second are sent. `progress=True` draws a bar if stderr is a terminal. If
        some runs were not hidden, raise `PartialError`, or return their outcomes too with `check=False`. See
        `wbgql.deletes.delete_runs` for what each outcome means, what ends a batch, and what it costs.
        """
        resolved = self._named_runs(paths)
        with _reporter(progress, "hiding runs") as reporter:
            return delete_runs(
                self.session,
                resolved,
                holds=self.holds,
                force=force,
                limits=Limits(rate=rate),
                progress=reporter,
                on_result=on_result,
                check=check,
            )

    def _named_runs(self, paths: Iterable[str | RunPath]) -> list[RunPath]:
        if isinstance(paths, str):  # each of its letters could be a run's id
            raise UsageError(f"give a list of runs, not the text {paths!r}; nothing was done")
        return [self.run_path(path) for path in paths]

    def delete_files(self, path: str | RunPath, names: Iterable[str], *, force: bool = False) -> FileDeletion:
        """Delete files of a run by their names; see `wbgql.deletes.delete_files`."""
        return delete_files(self.session, self.run_path(path), names, holds=self.holds, force=force)

    def delete_artifact(self, artifact_id: str, *, delete_aliases: bool = False) -> ArtifactDeletion:
        """Delete one artifact version by its id; see `wbgql.deletes.delete_artifact`."""
        return delete_artifact(self.session, artifact_id, holds=self.holds, delete_aliases=delete_aliases)

    def undelete_runs(self, path: str | ProjectPath, run_ids: Iterable[str]) -> Undeletion:
        """Bring hidden runs of a project back by their ids; see `wbgql.deletes.undelete_runs`."""
        return undelete_runs(self.session, self.project_path(path), run_ids)


def _reporter(progress: Progress | bool, what: str) -> AbstractContextManager[Progress]:
    """What a `progress` argument stands for: True is a bar, False nothing."""
    if progress is True:
        return terminal_bar(what)
    return nullcontext(NoProgress() if progress is False else progress)
