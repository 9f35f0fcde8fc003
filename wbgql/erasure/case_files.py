"""The files of a case: the plan, and what lies beside it.

```
plan.json               the plan: canonical bytes and a line end, mode 0600
plan.json.key           the case key: hex, mode 0600
plan.json.approvals     one approval a line
plan.json.certificate/  certificate.json, journal.jsonl, population.csv
```
"""

from __future__ import annotations

from pathlib import Path

from wbgql.erasure.plans import Plan, parse_plan
from wbgql.errors import StoreError, UsageError

MAX_PLAN_BYTES = 1024**3


def approvals_path(plan: Path) -> Path:
    """Where the approvals are added."""
    return plan.with_name(f"{plan.name}.approvals")


def certificate_path(plan: Path) -> Path:
    """The folder of the certificate, where no other is named."""
    return plan.with_name(f"{plan.name}.certificate")


def read_small(path: Path, limit: int, what: str) -> bytes:
    """Read a file whole that should not be larger than `limit` bytes.

    Raises:
        UsageError: it is larger, so it is not `what`.
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        reason = (error.strerror or "it is no file").lower()
        raise StoreError(f"cannot read {str(path)!r}: {reason}") from error
    if len(content) > limit:
        raise UsageError(f"{str(path)!r} is larger than {limit} bytes: it is not {what}")
    return content


def read_plan(path: Path) -> Plan:
    """Read a plan from disk.

    Raises:
        UsageError: not a plan; the message quotes nothing of it.
        StoreError: it cannot be read.
    """
    return parse_plan(read_small(path, MAX_PLAN_BYTES, "a plan"))
