"""Puts the questions to a server, one after the other, and leaves its runs hidden.

What public material leaves open differs between servers; guessing it would make evidence of guesses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from wbgql.deletes import FoundVersion, delete_artifact, delete_run, iter_outputs, look_up, undelete_runs
from wbgql.deletes.runs import DELETE_RUN
from wbgql.documents import NOT_FETCHED
from wbgql.downloads import Fetcher
from wbgql.erasure.probing.logged import FILE, TAG, LogRun
from wbgql.erasure.reading.facts import read_artifact_facts
from wbgql.erasure.records.profile import UNANSWERED, Answer, Profile, Question
from wbgql.erasure.verifying.file_urls import FileUrls
from wbgql.erasure.verifying.operations import GET_TYPE_FIELDS
from wbgql.erasure.verifying.reads import Reads
from wbgql.errors import NotFound, NotVisible, PartialError, RequestError, UsageError, WbgqlError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import list_run_ids
from wbgql.safety.gate import Gate
from wbgql.safety.holds import HoldRegister, HoldTarget
from wbgql.scalars import format_datetime
from wbgql.upserts import upsert_run
from wbgql.viewer import LOCAL_DEPLOYMENT, get_retention, get_rights, get_server_info, get_undo_window
from wbgql.wire.mutations import send_once
from wbgql.wire.session import Session
from wbgql.wire.transport import ObservedTransport, Reply, Transport

_RATE_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after")
_NEED_HIDDEN: tuple[Question, ...] = (
    "run_after_delete",
    "list_after_delete",
    "deleted_at",
    "second_delete",
    "id_refused",
    "undelete",
    "undelete_honours_filter",
)
_OF_LOGGED: tuple[Question, ...] = ("artifacts_of_run", "system_artifacts", "file_urls")
_NO_SYSTEM = "the server has made none yet: they come days later, from the history of real runs"
_LEFT_REASON = "hidden like any other: the server removes them when it purges"


class HeaderRecorder(ObservedTransport):
    """A transport that passes everything on, and remembers which rate-limit headers came with status 200."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner, self._note)
        self.seen: set[str] = set()
        self.answers = 0

    def _note(self, reply: Reply) -> None:
        if reply.status == 200:
            self.answers += 1
            self.seen |= {name for name in _RATE_HEADERS if name in reply.headers}


class Probe:
    """Puts the questions, one after the other, and leaves its runs hidden whatever happens.

    `project` must not exist: undeleting may bring back every run of a project, so only one that holds nothing
    else is safe. Two runs are made; about 40 requests. `log` logs a third run with a file and an artifact;
    without it, or without a `fetcher`, what is asked about those stays unanswered.
    """

    def __init__(
        self,
        session: Session,
        project: ProjectPath,
        holds: HoldRegister,
        *,
        headers: HeaderRecorder | None = None,
        log: LogRun | None = None,
        fetcher: Fetcher | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._session = session
        self._project = project
        self._holds = holds
        self._headers = headers
        self._log = log
        self._fetcher = fetcher
        self._now = now
        self._answers: list[Answer] = []
        self._runs = [RunPath(project.entity, project.project, f"probe-{new_id()}") for _ in range(2)]
        self._logged = RunPath(project.entity, project.project, f"probe-{new_id()}")
        self._reads = Reads(session, {project: [run.run_id for run in self._runs]}, new_id)
        self._ids: dict[RunPath, str] = {}
        self._artifacts: list[FoundVersion] = []

    def run(self, base_url: str) -> Profile:
        """Put every question and return the profile.

        Raises:
            UsageError: the project is there already; nothing was made.
            Held: a hold covers it; nothing was made.
            RequestError: the runs cannot be made.
        """
        self._refuse_existing()
        for path in (*self._runs, self._logged):
            self._check_holds(path)
        try:
            self._make_runs()
            with self._answering(*_OF_LOGGED):
                self._ask_about_logged(base_url)
            self._ask_all()
        finally:
            left = self._clean_up()
        return self._profile(base_url, left)

    def _refuse_existing(self) -> None:
        try:
            look_up(self._session, self._runs[0])
        except NotVisible:
            return
        raise UsageError(
            f"project {str(self._project)!r} is there already: name one that is not, because a server that "
            "undeletes everything would bring back the runs of others; nothing was done"
        )

    def _make_runs(self) -> None:
        for path in self._runs:
            made = upsert_run(self._session, path, state="finished", tags=[TAG])
            self._ids[path] = made.run.storage_id

    def _check_holds(self, path: RunPath) -> None:
        target = HoldTarget(
            entity=path.entity,
            project=path.project,
            run_id=path.run_id,
            tags=(TAG,),
            user=None,
            project_id=0,  # the project is only made now: no hold can have its number
        )
        Gate(self._session, self._holds).check_holds(target)

    def _ask_all(self) -> None:
        with self._answering(*_NEED_HIDDEN):
            self._after_delete()
            with self._answering("second_delete"):
                self._second_delete()
            with self._answering("id_refused"):
                self._id_refused()
            with self._answering("undelete", "undelete_honours_filter"):
                self._undelete()
        with self._answering("undelete_window"):
            self._window()
        with self._answering("delete_all_children", "storage_tree"):
            self._schema()
        self._rate_headers()

    def _after_delete(self) -> None:
        for path in self._runs:
            delete_run(self._session, path, holds=self._holds, force=True)
        first = self._runs[0]
        seen = look_up(self._session, first).run
        self._say("run_after_delete", "null" if seen is None else "visible")
        listed = list_run_ids(self._session, self._project)
        self._say("list_after_delete", "listed" if first.run_id in listed else "not_listed")
        mark = self._reads.deleted_mark(first)
        self._say("deleted_at", "shown" if mark else "null" if self._reads.knows_deleted else "no_field")

    def _second_delete(self) -> None:
        path = self._runs[0]
        self._check_holds(path)
        lost = send_once(self._session, DELETE_RUN, {"id": self._ids[path]}).lost
        self._say("second_delete", "ok" if lost is None else f"error {_code(lost)}")

    def _id_refused(self) -> None:
        path = self._runs[1]
        try:
            upsert_run(self._session, path, state="finished")
        except RequestError as error:
            self._say("id_refused", UNANSWERED if error.retryable else "refused", _code(error))
        else:
            self._say("id_refused", "accepted", "a hidden id can be logged to again")
            delete_run(self._session, path, holds=self._holds, force=True)

    def _undelete(self) -> None:
        wanted = self._runs[0].run_id
        try:
            done = undelete_runs(self._session, self._project, [wanted])
            restored, others = done.restored, []
        except PartialError as error:
            restored, others = list(error.done), list(error.failed)
        self._say("undelete", "works" if restored or others else "does_nothing")
        if others or restored:
            self._say("undelete_honours_filter", "no" if others else "yes")

    def _window(self) -> None:
        window = get_undo_window(self._session)
        self._say("undelete_window", "not_told" if window is None else str(int(window.total_seconds())))

    def _schema(self) -> None:
        self._look_for("delete_all_children", "DeleteRunInput", "deleteAllChildren")
        self._look_for("storage_tree", "Entity", "storageTree")

    def _look_for(self, question: Question, type_: str, field: str) -> None:
        """Say whether a type of the server's schema has a field."""
        found = self._session.execute(GET_TYPE_FIELDS, type=type_).type
        if found is NOT_FETCHED:
            self._say(question, UNANSWERED, "the server does not show its schema")
        else:
            known = found is not None and field in found.names
            self._say(question, "in_schema" if known else "not_in_schema")

    def _rate_headers(self) -> None:
        if self._headers is None or not self._headers.answers:
            self._say("rate_headers", UNANSWERED, "headers were not recorded")
            return
        self._say("rate_headers", ", ".join(sorted(self._headers.seen)) or "none")

    def _ask_about_logged(self, base_url: str) -> None:
        """Log a run with a file and an artifact, hide it, and look what is left of both."""
        if self._log is None:
            raise UsageError("no run was logged")
        path = self._logged
        self._log(path)
        found = look_up(self._session, path).run
        if found is None:
            raise NotVisible("the run that was logged is not there")
        self._ids[path] = found.id
        self._artifacts = list(iter_outputs(self._session, path))
        urls = None if self._fetcher is None else FileUrls(self._reads, self._fetcher, base_url)
        before = None if urls is None else urls.ask(self._project, path.run_id, FILE)
        delete_run(self._session, path, holds=self._holds, force=True)
        if urls is None or before != "present":
            self._say("file_urls", UNANSWERED, "no file of the run opened by its URL before it was hidden")
        else:
            self._say(
                "file_urls", urls.ask(self._project, path.run_id, FILE), "right after the run was hidden"
            )
        system = [version for version in self._artifacts if version.is_system]
        own = [version for version in self._artifacts if not version.is_system]
        if own:
            self._say("artifacts_of_run", self._what_became_of(own))
        self._say(
            "system_artifacts", *((self._what_became_of(system),) if system else (UNANSWERED, _NO_SYSTEM))
        )

    def _what_became_of(self, versions: list[FoundVersion]) -> str:
        facts = [read_artifact_facts(self._session, version.id) for version in versions]
        gone = sum(one is None or one.version.state == "DELETED" for one in facts)
        return "stay" if not gone else "go" if gone == len(facts) else "some_stay"

    @contextmanager
    def _answering(self, *questions: Question) -> Iterator[None]:
        """Answer what is still open with the kind of error that stood in the way."""
        reason = "nothing was seen that answers it"
        try:
            yield
        except WbgqlError as error:
            reason = _code(error)
        put = {answer.question for answer in self._answers}
        for question in questions:
            if question not in put:
                self._say(question, UNANSWERED, reason)

    def _say(self, question: Question, answer: str, detail: str | None = None) -> None:
        self._answers.append(Answer(question=question, answer=answer, detail=detail))

    def _clean_up(self) -> list[str]:
        """Hide what is visible; say what is left."""
        visible = 0
        for path in self._ids:
            try:
                if look_up(self._session, path).run is not None:
                    delete_run(self._session, path, holds=self._holds, force=True)
            except WbgqlError:
                visible += 1
        left = [f"{len(self._ids) - visible} runs, {_LEFT_REASON}", "a project without visible runs"]
        left += self._delete_artifacts()
        if visible:
            left.append(f"{visible} runs that could not be hidden: delete them by hand")
        return left

    def _delete_artifacts(self) -> Iterator[str]:
        """Delete what the logged run left; yield what stays."""
        kept = 0
        for version in self._artifacts:
            if version.is_system:
                continue
            try:
                delete_artifact(self._session, version, holds=self._holds, delete_aliases=True)
            except NotFound:
                continue
            except WbgqlError:
                kept += 1
        if kept:
            yield f"{kept} artifact versions that could not be deleted"
        if any(version.is_system for version in self._artifacts):
            yield "the server's own versions of the run that was logged, which only the server deletes"

    def _profile(self, base_url: str, left: list[str]) -> Profile:
        info, deployment = get_server_info(self._session), get_retention(self._session).deployment_id
        return Profile(
            made_at=format_datetime(self._now()),
            base_url=base_url,
            deployment=deployment,
            version=info.version if info else None,
            is_test=deployment == LOCAL_DEPLOYMENT,
            role=get_rights(self._session, self._project.entity).role,
            answers=self._answers,
            left=left,
        )


def _code(error: Exception) -> str:
    """What kind of error it was, without its words: they may quote names."""
    status = getattr(error, "status", None)
    return f"{type(error).__name__}{f' {status}' if status else ''}"
