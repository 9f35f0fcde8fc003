"""A case: the plan and its key from their files, with the ledger of all cases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from wbgql.erasure.case.files import key_path, load_key, load_plan
from wbgql.erasure.ledger import Ledger, database_file
from wbgql.erasure.records.plan import Plan
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import UsageError, WbgqlError

# Finds the other cases of one request: planned twice, it would be reported twice and one plan forgotten.


def other_cases(reference: str, folder: Path, database: str) -> Iterator[str]:
    """Say where else a request was planned: in a plan file of `folder`, or in a job of the ledger.

    Closed cases are not found: their plans are destroyed. A ledger that is not there is not made, and one
    that cannot be read is told.
    """
    known: set[str] = set()
    for file in sorted(folder.glob("*.json")):
        if not key_path(file).exists():
            continue
        try:
            plan = load_plan(file)
        except WbgqlError:
            continue  # some other file that has a key beside it: no plan can be read from it
        if plan.request.reference == reference:
            known.add(plan.plan_id)
            yield f"plan {str(file)!r} of {plan.created_at[:10]}"
    file_of_ledger = database_file(database)
    if file_of_ledger is not None and not file_of_ledger.exists():
        return
    try:
        ledger = Ledger.open(database)
    except WbgqlError as error:
        yield f"perhaps in the ledger, which cannot be read ({error})"
        return
    try:
        for job in ledger.jobs():
            if job.job not in known and job.plan is not None and job.plan.request.reference == reference:
                yield f"job {job.job} in the ledger, {job.state}, begun {job.created_at[:10]}"
    finally:
        ledger.close()


@dataclass(frozen=True)
class Case:
    """One case. `key` is None where its file is not there: nothing can then be named in evidence.

    The job in the ledger has the plan's id.
    """

    path: Path
    plan: Plan
    key: CaseKey | None
    ledger: Ledger

    @property
    def job(self) -> str:
        """The id of its job."""
        return self.plan.plan_id

    def require_key(self) -> CaseKey:
        """Return the case key.

        Raises:
            UsageError: its file is missing, or it is the key of another plan.
        """
        if self.key is None:
            raise UsageError(
                f"the case key {str(key_path(self.path))!r} is not there: evidence cannot be written without "
                "it, so nothing was done"
            )
        if self.key.key_id != self.plan.case_key_id:
            raise UsageError(f"{str(key_path(self.path))!r} is the key of another plan; nothing was done")
        return self.key

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """`$WBGQL_STATE`, else the user's folder for state: ledger, engine and locks of this machine."""
    named = (os.environ if environ is None else environ).get("WBGQL_STATE")
    return Path(named).expanduser() if named else user_state_path("wbgql")


def database_url(given: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Which database holds the ledger: what is given, `$WBGQL_DATABASE`, or a file in the state folder."""
    environ = os.environ if environ is None else environ
    named = given or environ.get("WBGQL_DATABASE")
    return named or f"sqlite:///{state_folder(environ).absolute() / 'erasure.sqlite'}"


def open_case(path: Path, *, database: str | None = None, environ: Mapping[str, str] | None = None) -> Case:
    """Open the case of a plan file, with the ledger that `database` or the environment names.

    Raises:
        StoreError: a file or the ledger cannot be opened.
        UsageError, ConfigError: not a plan, not its key, or not a database URL.
    """
    plan, key = load_plan(path), load_key(path)
    return Case(path=path, plan=plan, key=key, ledger=Ledger.open(database_url(database, environ)))
