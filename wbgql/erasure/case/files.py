"""A case's files: the plan, its key and its approvals side by side. Knows no ledger."""

from __future__ import annotations

from pathlib import Path

from wbgql.erasure.records import canonical
from wbgql.erasure.records.plan import Plan, parse_plan
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import StoreError, UsageError
from wbgql.private_files import create_private, replace_private


def key_path(plan: Path) -> Path:
    """Where the case key of a plan is kept."""
    return plan.with_name(f"{plan.name}.key")


def approvals_path(plan: Path) -> Path:
    """Where approvals of a plan are collected, one a line."""
    return plan.with_name(f"{plan.name}.approvals")


def save_case(path: Path, plan: Plan, key: CaseKey) -> None:
    """Write a plan and its key, each readable by its owner alone; the key first.

    Raises:
        StoreError: they cannot be written.
    """
    half = key_path(path)
    try:
        replace_private(half, f"{key.to_hex()}\n".encode())
        half = path
        replace_private(half, canonical.encode(plan) + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {str(half)!r}: {(error.strerror or str(error)).lower()}") from error


def refuse_existing(path: Path) -> None:
    """Raise `StoreError` if a case lies at this path.

    Raises:
        UsageError: there is a part of one: a plan is never overwritten.
    """
    for file in (path, key_path(path), approvals_path(path)):
        if file.exists() or file.is_symlink():
            raise UsageError(
                f"{str(file)!r} is there already, and a plan is never overwritten: name another file, or "
                "close the case that it belongs to (`wbgql erase close`)"
            )


def create_case(path: Path, plan: Plan, key: CaseKey) -> None:
    """Write a new plan and its key, as `save_case`, but never over what is there.

    Raises:
        UsageError: a part of a case lies there.
        StoreError: they cannot be written.
    """
    refuse_existing(path)
    _take(path)  # of two planners at once, one is refused
    try:
        save_case(path, plan, key)
    except StoreError:
        for half in (path, key_path(path)):
            half.unlink(missing_ok=True)
        raise


def load_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        StoreError: the file cannot be read.
        UsageError: it is no plan, its ids contradict its paths, or it is not written as plans are: a key
            given twice shows a reader another plan than the one that is applied.
        PlanChanged: its totals are not those of its runs.
    """
    content = _read(path, "plan")
    plan = parse_plan(content)
    if content.strip() != canonical.encode(plan):
        raise UsageError(
            f"{str(path)!r} is not written as `wbgql erase plan` writes it: keys are given twice or in "
            "another order, or there are blanks; take the file that was planned"
        )
    plan.check_totals()
    return plan


def load_key(path: Path) -> CaseKey | None:
    """Read the case key that lies beside a plan, None where there is none.

    Raises:
        StoreError: the file cannot be read.
        UsageError: it is no key.
    """
    file = key_path(path)
    if not file.exists():
        return None
    try:
        return CaseKey.from_hex(_read(file, "case key").decode("ascii", "replace"))
    except UsageError as error:
        raise UsageError(f"{str(file)!r} holds no case key: {error}") from error


def _take(path: Path) -> None:
    try:
        create_private(path, b"")
    except FileExistsError as error:
        raise UsageError(f"{str(path)!r} was made meanwhile by somebody else; nothing was written") from error
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {(error.strerror or str(error)).lower()}") from error


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"cannot read the {what} {str(path)!r}: {reason}") from error
