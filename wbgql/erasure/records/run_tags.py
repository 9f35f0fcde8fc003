"""The tags of a run as they were when its deletion was sent, sealed for the ledger. No I/O.

Holds by tag decide over what hung on a hidden run, and others may write to the ledger: the seal shows it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wbgql.erasure.records import canonical
from wbgql.erasure.records.subjects import CaseKey
from wbgql.errors import StoreError


class RunTags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tags, sorted, with a keyed hash of them and of the run's subject. Made only with the case key."""

    tags: list[str]
    seal: str

    @classmethod
    def of(cls, tags: Sequence[str], key: CaseKey, subject: str) -> RunTags:
        """Seal the tags of the run that evidence calls `subject`."""
        tags = sorted(tags)
        return cls(tags=tags, seal=key.text("tags", canonical.encode([subject, tags]).decode()))

    def check(self, key: CaseKey, subject: str) -> None:
        """Check that this job wrote them, and for this run.

        Raises:
            StoreError: somebody else did.
        """
        if self != RunTags.of(self.tags, key, subject):
            raise StoreError(
                "the tags that the ledger has of a run are not those that this job wrote: somebody changed "
                "the ledger, or it was restored in part; nothing was sent"
            )
