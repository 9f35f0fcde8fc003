"""Asks for files of runs by the URL under which the server gives them out."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from wbgql.downloads import Fetcher
from wbgql.erasure.verifying.reads import Reads
from wbgql.erasure.verifying.settling import Answer
from wbgql.errors import NotFound, PermissionDenied, RequestError
from wbgql.files import iter_files
from wbgql.paths import ProjectPath, RunPath

_RUNS_TRIED = 10


class FileUrls:
    """Opens `<base_url>/files/<entity>/<project>/<run>/<name>`, and reads nothing of what comes.

    The form of the URL is tried on a file of a live run first: where that one does not open, nothing can be
    said of the others.

    Source: the form that the wandb SDK uploads to and links, wandb SDK 0.31.0 (2026-11).
    """

    def __init__(self, reads: Reads, fetcher: Fetcher, base_url: str) -> None:
        self._reads = reads
        self._fetcher = fetcher
        self._base_url = base_url.rstrip("/")
        self.tried: dict[ProjectPath, bool] = {}

    def works(self, project: ProjectPath) -> bool:
        """Whether a file of a live run of the project opens. Three requests, once for each project.

        A request more for each of the newest live runs that has no file; after ten of them, nothing is tried.
        """
        if project not in self.tried:
            self.tried[project] = self._try_control(project)
        return self.tried[project]

    def ask(self, project: ProjectPath, run_id: str, name: str) -> Answer:
        """Whether a file can be had: 200 is present; 404, 410 and 403 are absent. One request.

        An answer that says nothing (429, 5xx, no connection) is unknown: it is asked again.
        """
        path = "/".join(quote(part, safe="") for part in (project.entity, project.project, run_id))
        try:
            with self._fetcher.open(f"{self._base_url}/files/{path}/{quote(name)}"):
                return "present"
        except (NotFound, PermissionDenied):
            return "absent"
        except RequestError:
            return "unknown"

    def _try_control(self, project: ProjectPath) -> bool:
        for run_id in self._reads.live_runs(project, _RUNS_TRIED):
            files = iter_files(self._reads.session, RunPath(project.entity, project.project, run_id))
            try:
                first = next((file.name for file in files if file.size_bytes), None)
            except NotFound:
                continue
            if first is not None:
                return self.ask(project, run_id, first) == "present"
        return False


def explain(works: Mapping[ProjectPath, bool]) -> str | None:
    """Say in words that files were not asked for, None where they were."""
    failed = sum(not good for good in works.values())
    if not failed:
        return None
    return (
        f"files were not asked for by their URLs in {failed} of {len(works)} projects: no file of a live run "
        "opened there, so a refusal would prove nothing"
    )
