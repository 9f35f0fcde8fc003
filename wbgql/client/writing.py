"""Changing and deleting through the client. Every deletion passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from wbgql.artifacts import Artifact, ArtifactLike, ArtifactPath
from wbgql.bars import terminal_bar
from wbgql.cautions import warn
from wbgql.client.artifacts import Artifacts
from wbgql.deletes import (
    DEFAULT_RATE,
    ArtifactDeletion,
    DeletedRuns,
    Deletion,
    FileDeletion,
    FoundVersion,
    Preview,
    Undeletion,
    WithArtifacts,
    delete_artifact,
    delete_artifacts,
    delete_files,
    delete_run,
    delete_runs,
    list_deleted,
    list_recorded,
    lists_deleted,
    make_record,
    preview_delete,
    preview_deletes,
    undelete_runs,
)
from wbgql.edits import KeyPath, Values
from wbgql.errors import PartialError, StoreError, UsageError
from wbgql.files import File
from wbgql.limiting import Limits
from wbgql.paths import ProjectLike, ProjectPath, RunLike
from wbgql.progress import NoProgress, Progress
from wbgql.runs import Run
from wbgql.safety.gate import Gate
from wbgql.upserts import (
    Upsert,
    add_tags,
    remove_tags,
    set_config,
    set_summary,
    set_tags,
    unset_config,
    unset_summary,
    upsert_run,
)


class Writing(Artifacts):
    """Upserts, deletions, and bringing back."""

    def upsert_run(
        self,
        run: RunLike,
        *,
        display_name: str | None = None,
        notes: str | None = None,
        tags: Iterable[str] | None = None,
        group: str | None = None,
        job_type: str | None = None,
        config: Values | None = None,
        summary: Values | None = None,
        unset_config: Iterable[KeyPath] = (),
        unset_summary: Iterable[KeyPath] = (),
        state: str | None = None,
        replace: bool = False,
        force: bool = False,
    ) -> Upsert:
        """Create a run or change it; see `wbgql.upserts.upsert_run`. Three requests."""
        return upsert_run(
            self.session,
            self.run_path(run),
            display_name=display_name,
            notes=notes,
            tags=tags,
            group=group,
            job_type=job_type,
            config=config,
            summary=summary,
            unset_config=unset_config,
            unset_summary=unset_summary,
            state=state,
            replace=replace,
            force=force,
        )

    def set_tags(self, run: RunLike, tags: Iterable[str], *, force: bool = False) -> Run:
        """Replace all tags of a run."""
        return set_tags(self.session, self.run_path(run), tags, force=force)

    def add_tags(self, run: RunLike, *tags: str, force: bool = False) -> Run:
        """Add tags to those a run has."""
        return add_tags(self.session, self.run_path(run), *tags, force=force)

    def remove_tags(self, run: RunLike, *tags: str, force: bool = False) -> Run:
        """Remove tags from those a run has."""
        return remove_tags(self.session, self.run_path(run), *tags, force=force)

    def set_config(self, run: RunLike, values: Values, *, replace: bool = False, force: bool = False) -> Run:
        """Set config keys of a run, keeping the others; see `wbgql.upserts.set_config`."""
        return set_config(self.session, self.run_path(run), values, replace=replace, force=force)

    def set_summary(self, run: RunLike, values: Values, *, replace: bool = False, force: bool = False) -> Run:
        """Set summary keys of a run, keeping the others; see `wbgql.upserts.set_summary`."""
        return set_summary(self.session, self.run_path(run), values, replace=replace, force=force)

    def unset_config(self, run: RunLike, *keys: KeyPath, force: bool = False) -> Run:
        """Remove config keys of a run; see `wbgql.upserts.unset_config`."""
        return unset_config(self.session, self.run_path(run), *keys, force=force)

    def unset_summary(self, run: RunLike, *keys: KeyPath, force: bool = False) -> Run:
        """Remove summary keys of a run; see `wbgql.upserts.unset_summary`."""
        return unset_summary(self.session, self.run_path(run), *keys, force=force)

    def preview_delete(self, run: RunLike, *, force: bool = False) -> Preview:
        """Say what `delete_run` would do to a run now; sends no mutation."""
        path, made_at = self._named_run(run)
        gate = Gate(self.session, self.holds, made_at=made_at)
        return preview_delete(self.session, path, holds=self.holds, force=force, gate=gate)

    def preview_deletes(
        self,
        runs: Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        force: bool = False,
        progress: Progress | bool = False,
    ) -> list[Preview]:
        """Say what `delete_runs` would do now; see `wbgql.deletes.preview_deletes`. A request for 25 runs."""
        paths, made_at = self._explicit_runs(runs, project=project)
        gate = Gate(self.session, self.holds, made_at=made_at)
        with _reporter(progress, "looking runs up") as reporter:
            return preview_deletes(
                self.session, paths, holds=self.holds, force=force, gate=gate, progress=reporter
            )

    def delete_run(self, run: RunLike, *, force: bool = False) -> Deletion:
        """Hide one run and prove it by an independent read; see `wbgql.deletes.delete_run`.

        Takes a run, its path, or a text that names its project too. A run that was made at another time than
        the one at its path is not deleted: it is of another server, or was replaced.
        """
        path, made_at = self._named_run(run)
        gate = Gate(self.session, self.holds, made_at=made_at)
        deletion = delete_run(self.session, path, holds=self.holds, force=force, gate=gate)
        self._record(deletion)
        return deletion

    def delete_runs(
        self,
        runs: Iterable[RunLike],
        *,
        project: ProjectLike | None = None,
        force: bool = False,
        with_artifacts: bool | WithArtifacts = False,
        rate: float = DEFAULT_RATE,
        progress: Progress | bool = False,
        on_result: Callable[[Deletion], None] = lambda _: None,
        check: bool = True,
    ) -> list[Deletion]:
        """Hide runs of one project or several; return one outcome per run, in order.

        `with_artifacts=True` deletes the versions they logged too, except those with aliases or links; give
        `WithArtifacts(delete_aliases=True)` for those as well. This cannot be undone. At most `rate` requests
        per second are sent. `progress=True` draws a bar if stderr is a terminal. If
        some runs were not hidden, raise `PartialError`, or return their outcomes too with `check=False`. See
        `wbgql.deletes.delete_runs` for what each outcome means, what ends a batch, and what it costs.

        `runs` are runs, paths or texts. Bare ids need `project`, the project that all of them are in: the
        default project is not used for lists. A selection is refused, because a deletion takes explicit
        runs: list them first, with `selection.verified()`.

        Raises:
            UsageError: a selection, one text in place of a list, or an id without a project.
        """
        paths, made_at = self._explicit_runs(runs, project=project)

        def told(deletion: Deletion) -> None:
            self._record(deletion)
            on_result(deletion)

        with _reporter(progress, "hiding runs") as reporter:
            return delete_runs(
                self.session,
                paths,
                holds=self.holds,
                force=force,
                with_artifacts=WithArtifacts() if with_artifacts is True else with_artifacts or None,
                made_at=made_at,
                limits=Limits(rate=rate),
                progress=reporter,
                on_result=told,
                check=check,
            )

    def delete_files(self, run: RunLike, files: Iterable[str | File], *, force: bool = False) -> FileDeletion:
        """Delete files of a run, by name or as `files()` gives them; see `wbgql.deletes.delete_files`.

        Takes a run, its path, or a text that names its project too.
        """
        path, made_at = self._named_run(run)
        return delete_files(self.session, path, files, holds=self.holds, force=force, made_at=made_at)

    def delete_artifact(
        self,
        artifact: ArtifactLike,
        *,
        delete_aliases: bool = False,
        delete_links: bool = False,
    ) -> ArtifactDeletion:
        """Delete one artifact version and prove it; see `wbgql.deletes.delete_artifact`.

        Takes a version, its path, its storage id, or the whole `entity/project/collection:alias`. Neither the
        default project nor `latest` completes it. A version whose id names another path or content by now is
        not deleted: it is of another server, or was moved. Three requests.

        Raises:
            UsageError: the path is not whole, or names a link to a version of another collection; nothing
                was done.
        """
        return delete_artifact(
            self.session,
            self._named_version(artifact),
            holds=self.holds,
            delete_aliases=delete_aliases,
            delete_links=delete_links,
        )

    def delete_artifacts(
        self,
        artifacts: Iterable[ArtifactLike | FoundVersion],
        *,
        delete_aliases: bool = False,
        delete_links: bool = False,
        rate: float = DEFAULT_RATE,
        progress: Progress | bool = False,
        on_result: Callable[[ArtifactDeletion], object] = lambda _: None,
        check: bool = True,
    ) -> list[ArtifactDeletion]:
        """Delete artifact versions; return one outcome per version, in order.

        A version that is held, the server's own, aliased or linked does not keep the others. See
        `delete_runs` for `rate`, `progress` and `check`, and `wbgql.deletes.delete_artifacts`.
        """
        if isinstance(artifacts, str):
            raise UsageError(f"give a list of versions, not the text {artifacts!r}; nothing was done")
        named = [one if isinstance(one, FoundVersion) else self._named_version(one) for one in artifacts]
        with _reporter(progress, "deleting versions") as reporter:
            return delete_artifacts(
                self.session,
                named,
                holds=self.holds,
                delete_aliases=delete_aliases,
                delete_links=delete_links,
                limits=Limits(rate=rate),
                progress=reporter,
                on_result=on_result,
                check=check,
            )

    def undelete_runs(self, project: ProjectLike, runs: Iterable[RunLike]) -> Undeletion:
        """Bring hidden runs of a project back, by ids or paths; see `wbgql.deletes.undelete_runs`.

        Raises:
            UsageError: a selection or one text in place of a list, or a run of another project.
        """
        home = self.project_path(project)
        run_ids = [path.run_id for path in self.run_paths(runs, project=home)]
        try:
            answer = undelete_runs(self.session, home, run_ids)
        except PartialError as error:
            self._forget(home, error.done)
            raise
        self._forget(home, answer.restored)
        return answer

    def deleted_runs(self, *projects: ProjectLike) -> DeletedRuns:
        """Return the runs that are deleted and may be restored, latest first.

        wbgql's local server lists them. No other server does: then the runs are those that wbgql's own record
        has of this deployment, each looked up (one request for 25 runs of a project). `projects`: only those;
        without any, all of the record.

        Raises:
            NotFound: a project is missing or not visible, or this key may restore nothing there.
            StoreError: the record cannot be read.
            UsageError: no project is named, and the server would have to list all.
        """
        named = [self.project_path(project) for project in projects]
        if lists_deleted(self.session):
            if not named:
                raise UsageError("name at least one project: this server lists deleted runs by project")
            return DeletedRuns(
                runs=[run for project in named for run in list_deleted(self._read_url, project)], listed=True
            )
        recorded = list_recorded(self.session, self.deletions, self.settings.deployment, named)
        return DeletedRuns(runs=recorded, listed=False)

    def _read_url(self, url: str) -> bytes:
        return self._downloader(1, None).read(url)

    def _record(self, deletion: Deletion) -> None:
        """Record a hidden run; that it cannot be recorded must not undo what is done."""
        if deletion.outcome != "hidden":
            return
        now = datetime.now(UTC)
        entry = make_record(self.settings.deployment, deletion.path, now=now, undo_until=deletion.undo_until)
        try:
            self.deletions.add(entry, now=now)
        except StoreError as error:
            warn(f"run {deletion.path!r} is hidden, and could not be recorded: {error}", RuntimeWarning)

    def _forget(self, project: ProjectPath, run_ids: Iterable[str]) -> None:
        try:
            self.deletions.forget(self.settings.deployment, {f"{project}/{run_id}" for run_id in run_ids})
        except StoreError as error:
            warn(f"the restored runs stay in the record of deletions: {error}", RuntimeWarning)

    def _named_version(self, artifact: ArtifactLike) -> str | ArtifactPath | Artifact:
        """Read a text as a storage id or a whole path; an id has neither a slash nor a colon."""
        if not isinstance(artifact, str) or not {"/", ":"} & set(artifact):
            return artifact
        return self.whole_artifact_path(artifact)


def _reporter(progress: Progress | bool, what: str) -> AbstractContextManager[Progress]:
    """What a `progress` argument stands for: True is a bar, False nothing."""
    if progress is True:
        return terminal_bar(what)
    return nullcontext(NoProgress() if progress is False else progress)
