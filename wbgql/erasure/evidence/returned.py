"""Finds runs that a certificate says were erased and that are there again, after a backup was restored.

For cases whose plan is destroyed: the certificate's population and the case key are the list of what must not
come back. While a case is open, `watching` does more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from wbgql.erasure.evidence.bundle import POPULATION, read_population
from wbgql.erasure.evidence.check import require_good
from wbgql.erasure.records.keys import PublicKey
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import UsageError
from wbgql.paths import ProjectPath, RunPath
from wbgql.runs import list_run_ids
from wbgql.settings import is_same_server
from wbgql.wire.session import Session


class Erased(NamedTuple):
    """Which runs a certificate says are gone. `base_url`: the address under which it names them."""

    base_url: str
    subjects: frozenset[str]


def read_erased(
    folder: Path, key: CaseKey, base_url: str, trusted: frozenset[PublicKey] | None = None
) -> Erased:
    """Return the runs that a certificate's folder says are gone.

    Without trusted keys, whose key signed is not looked at.

    Raises:
        UsageError: the key is that of another case, or the certificate is about another server.
        NotVerified: the certificate does not hold: a changed population would name other runs.
        StoreError: it cannot be read.
    """
    certificate = require_good(folder, trusted).certificate
    if certificate.plan.case_key_id != key.key_id:
        raise UsageError("this is the case key of another case: it names nothing in this certificate")
    if not is_same_server(certificate.server.base_url, base_url):
        raise UsageError(
            f"the certificate is about {certificate.server.base_url}, but this would look at {base_url}"
        )
    items = read_population(folder / POPULATION)
    subjects = frozenset(item.subject for item in items if item.kind == "run" and item.is_claimed)
    return Erased(certificate.server.base_url, subjects)


def iter_returned(
    session: Session, projects: Iterable[ProjectPath], key: CaseKey, erased: Erased
) -> Iterator[RunPath]:
    """Yield the live runs of `projects` that are among the erased. n / 1000 requests for each project.

    Raises:
        NotFound: a project is missing or not visible.
    """
    for project in projects:
        for run_id in list_run_ids(session, project):
            path = RunPath(project.entity, project.project, run_id)
            if key.run(erased.base_url, path) in erased.subjects:
                yield path
