"""Approvals: signatures over a plan's digest by keys that an approvers file lists.

An approval says "key K, listed as R, approved this plan". It does not say who held the key: two keys may lie
in one hand, and nothing here claims otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from wbgql.erasure import APPROVERS_VARIABLE
from wbgql.erasure.records.canonical import digest, encode, is_digest
from wbgql.erasure.records.keys import KEY_ID, PrivateKey, PublicKey
from wbgql.erasure.records.plan import Approvers, Plan
from wbgql.erasure.records.small_files import read_small
from wbgql.errors import NotApproved, StoreError, UsageError
from wbgql.scalars import format_datetime, parse_datetime

MAX_FILE_BYTES = 1024 * 1024
# How far the clocks of two machines may be apart before an approval counts as given at an impossible time.
CLOCK_SKEW = timedelta(minutes=5)
_NO_APPROVERS = (
    f"the plan names no approvers, but an approvers file is given (${APPROVERS_VARIABLE} or --approvers): "
    "plan again, so that the plan names who must approve; nothing was done"
)


class Approver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key that may approve. `role`: what its owner is ("data-protection officer"), never a name."""

    public_key: str
    role: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    approvers: list[Approver]


class ApproversFile:
    """Who may approve: keys with their roles. The digest is the same however the file writes it down."""

    def __init__(self, approvers: Iterable[Approver]) -> None:
        self._listed: dict[str, tuple[PublicKey, str]] = {}
        for approver in approvers:
            self._add(PublicKey.parse(approver.public_key), approver.role)
        if not self._listed:
            raise UsageError("an approvers file lists at least one key")

    def _add(self, key: PublicKey, role: str) -> None:
        if not role.strip() or not role.isprintable() or len(role) > 100:
            raise UsageError(
                f"the role of {key.key_id} must be 1 to 100 printable characters: what its owner is, "
                "never a name"
            )
        if key.key_id in self._listed:
            raise UsageError(f"{key.key_id} is listed twice: each key counts once")
        self._listed[key.key_id] = key, role

    @property
    def key_ids(self) -> list[str]:
        """The keys listed, in order of their ids."""
        return sorted(self._listed)

    @property
    def approvers(self) -> list[Approver]:
        """The canonical content: keys as base64, in order of their ids."""
        listed = (self._listed[key_id] for key_id in self.key_ids)
        return [Approver(public_key=key.to_base64(), role=role) for key, role in listed]

    @property
    def digest(self) -> str:
        """`sha256:...` over the canonical content: what the plan holds."""
        return digest({"approvers": self.approvers})

    def key(self, key_id: str) -> PublicKey | None:
        """The key of this id, None where it is not listed."""
        return self._listed[key_id][0] if key_id in self._listed else None

    def role(self, key_id: str) -> str | None:
        """The role its key is listed with, None where it is not listed."""
        return self._listed[key_id][1] if key_id in self._listed else None

    def to_bytes(self) -> bytes:
        """The file, to be read by people and by `parse_approvers`."""
        return msgspec.json.format(encode({"approvers": self.approvers}), indent=2) + b"\n"


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signature. `plan` is the plan's digest; `signature` is over the other fields (`signed`)."""

    purpose: Literal["wbgql-erasure-approval/1"] = "wbgql-erasure-approval/1"
    plan: str
    key_id: Annotated[str, msgspec.Meta(pattern=KEY_ID)]
    role: str
    at: str
    signature: str

    @property
    def signed(self) -> dict[str, str]:
        """What the signature is over."""
        return _signed(self.plan, self.key_id, self.role, self.at)


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """One approval that counts: by which key, listed as what, when."""

    key_id: str
    role: str
    at: str


def parse_approvers(content: bytes, where: str = "the approvers file") -> ApproversFile:
    """Read an approvers file: `{"approvers": [{"public_key": PEM or base64, "role": TEXT}, ...]}`.

    Raises:
        UsageError: not such a file, a key that is none or is listed twice, or a role that is empty.
    """
    try:
        return ApproversFile(msgspec.json.decode(content, type=_File).approvers)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not an approvers file: {error}") from error


def read_approvers(path: Path) -> ApproversFile:
    """Read an approvers file from disk.

    Raises:
        UsageError: as `parse_approvers`.
        StoreError: it cannot be read.
    """
    return parse_approvers(read_small(path, MAX_FILE_BYTES, "an approvers file"), repr(str(path)))


def configured_approvers() -> ApproversFile | None:
    """Read the approvers file that `$WBGQL_APPROVERS` names; None where it names none.

    Raises:
        UsageError: as `parse_approvers`.
        StoreError: it cannot be read.
    """
    named = os.environ.get(APPROVERS_VARIABLE)
    return read_approvers(Path(named).expanduser()) if named else None


def require(listed: ApproversFile, required: int | None, planner_key_id: str | None) -> Approvers:
    """What a plan says of who must approve it: `required` (default 1) of the keys that are listed.

    Raises:
        UsageError: fewer keys than that can sign; the planner's own cannot.
    """
    able = sum(key_id != planner_key_id for key_id in listed.key_ids)
    if able < (required or 1):
        raise UsageError(
            f"{required or 1} must approve, but the approvers file lists {able} keys that can (the planner's "
            "own does not count)"
        )
    return Approvers(digest=listed.digest, required=required or 1)


def make_approval(plan: Plan, key: PrivateKey, approvers: ApproversFile, now: datetime) -> Approval:
    """Sign a plan.

    Raises:
        NotApproved: this key may not approve this plan.
        PlanChanged: the plan has expired.
    """
    plan.check_fresh(now)
    _check_file(plan, approvers)
    role = _check_key(plan, key.key_id, approvers)
    at = format_datetime(now)
    signature = key.sign(_signed(plan.digest, key.key_id, role, at))
    return Approval(plan=plan.digest, key_id=key.key_id, role=role, at=at, signature=signature)


def check_approvals(
    plan: Plan, approvals: Sequence[Approval], approvers: ApproversFile | None, now: datetime
) -> list[Approved]:
    """Return the approvals that count, one per key, in the order given; enough, or an error.

    `approvers`: the file that is named or configured, None if there is none. A plan without approvers then
    needs none and gives an empty list. One bad approval among good ones refuses all: somebody tried, and a
    person should look.

    Raises:
        NotApproved: the plan names no approvers and a file is given; too few; or one by a key that is not
            listed or is the planner's, for another plan, given at an impossible time, or with a signature
            that does not fit. Names key ids, never people.
        PlanChanged: the plan has expired.
    """
    plan.check_fresh(now)
    if plan.approvers is None and approvers is not None:
        raise NotApproved(_NO_APPROVERS)
    return check_given(plan, approvals, approvers, now)


def check_given(
    plan: Plan, approvals: Sequence[Approval], approvers: ApproversFile | None, now: datetime
) -> list[Approved]:
    """Return the approvals that count, also those of a plan that has expired since: for evidence, not to act.

    Raises:
        NotApproved: as `check_approvals`.
    """
    if plan.approvers is None:
        return []
    if approvers is None:
        raise NotApproved(
            f"the plan needs {_count(plan.approvers.required)} by keys of an approvers file: name it with "
            "--approvers; nothing was done"
        )
    counted = check_each(plan, approvals, approvers, now)
    required = max(plan.approvers.required, 1)
    if len(counted) < required:
        by = f" (by {', '.join(approved.key_id for approved in counted)})" if counted else ""
        raise NotApproved(
            f"{len(counted)} of {_count(required)}{by}: `wbgql erase approve` adds one; nothing was done"
        )
    return counted


def check_each(
    plan: Plan, approvals: Sequence[Approval], approvers: ApproversFile, now: datetime
) -> list[Approved]:
    """Return the approvals that count, one per key, however few they are.

    Raises:
        NotApproved: one of them is bad, as `check_approvals` says.
    """
    _check_file(plan, approvers)
    counted: dict[str, Approved] = {}
    for approval in approvals:
        approved = _check_one(plan, approval, approvers, now)
        counted.setdefault(approved.key_id, approved)
    return list(counted.values())


def read_approvals(path: Path) -> list[Approval]:
    """Read the approvals beside a plan, oldest first; none where the file is not there. Checks no signature.

    Raises:
        StoreError: it cannot be read, or a line is no approval (named by its number).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {(error.strerror or str(error)).lower()}") from error
    return [_parse_line(line, number, path) for number, line in enumerate(content.splitlines(), 1)]


def append_approval(path: Path, approval: Approval) -> None:
    """Add an approval to the file beside a plan. Durable when this returns.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(number, "ab") as file:
            file.write(encode(approval) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {(error.strerror or str(error)).lower()}") from error


def _signed(plan: str, key_id: str, role: str, at: str) -> dict[str, str]:
    return {"purpose": "wbgql-erasure-approval/1", "plan": plan, "key_id": key_id, "role": role, "at": at}


def _check_file(plan: Plan, approvers: ApproversFile) -> None:
    if plan.approvers is None:
        raise NotApproved(_NO_APPROVERS)
    if approvers.digest != plan.approvers.digest:
        raise NotApproved(
            f"the approvers file is {approvers.digest}, but the plan was made with {plan.approvers.digest}: "
            "it is another one, or somebody changed it; nothing was done"
        )


def _check_key(plan: Plan, key_id: str, approvers: ApproversFile) -> str:
    """Return the role of a key that may approve this plan."""
    if key_id == plan.planner.key_id:
        raise NotApproved(f"{key_id} is the planner's key: who plans cannot approve; nothing was done")
    role = approvers.role(key_id)
    if role is None:
        raise NotApproved(f"{key_id} is not listed in the approvers file; nothing was done")
    return role


def _check_one(plan: Plan, approval: Approval, approvers: ApproversFile, now: datetime) -> Approved:
    role = _check_key(plan, approval.key_id, approvers)
    if approval.plan != plan.digest:
        named = approval.plan if is_digest(approval.plan) else "no digest"
        raise NotApproved(
            f"the approval by {approval.key_id} is for another plan ({named}): the plan was changed "
            "after it, or the file belongs to another; nothing was done"
        )
    key = approvers.key(approval.key_id)
    if key is None or approval.role != role or not key.verifies(approval.signed, approval.signature):
        raise NotApproved(f"the signature by {approval.key_id} does not fit its approval; nothing was done")
    _check_time(plan, approval, now)
    return Approved(key_id=approval.key_id, role=role, at=approval.at)


def _check_time(plan: Plan, approval: Approval, now: datetime) -> None:
    try:
        at = parse_datetime(approval.at)
    except ValueError as error:
        raise NotApproved(f"the approval by {approval.key_id} has no time; nothing was done") from error
    start, end = parse_datetime(plan.created_at), parse_datetime(plan.expires_at)
    if not start - CLOCK_SKEW <= at < end or at > now + CLOCK_SKEW:
        raise NotApproved(
            f"the approval by {approval.key_id} was given at {format_datetime(at)}: before the plan was "
            "made, after it expired, or in the future; look at the clocks; nothing was done"
        )


def _parse_line(line: bytes, number: int, path: Path) -> Approval:
    try:
        return msgspec.json.decode(line, type=Approval)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(
            f"line {number} of {str(path)!r} is no approval (broken off while it was written?): remove the "
            "line and approve again"
        ) from error


def _count(required: int) -> str:
    return f"{required} approval" if required == 1 else f"{required} approvals"
