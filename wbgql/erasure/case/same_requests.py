"""Finds the other cases of one request: planned twice, it would be reported twice and one plan forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wbgql.erasure.case.files import key_path, load_plan
from wbgql.erasure.ledger import Ledger, database_file
from wbgql.errors import WbgqlError


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
