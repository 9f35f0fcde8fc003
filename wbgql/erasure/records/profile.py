"""What a probe found out about one server: questions and answers, cited by plans by digest. No I/O."""

from __future__ import annotations

from typing import Literal

import msgspec

from wbgql.erasure.records.canonical import digest
from wbgql.errors import UsageError

Question = Literal[
    "run_after_delete",  # what run(name) says of a hidden run
    "list_after_delete",  # whether a list still shows it
    "deleted_at",  # whether a hidden run is shown with the time of its deletion
    "second_delete",  # what a second deletion of the same run answers
    "id_refused",  # whether the id of a hidden run is refused for a new one
    "undelete",  # whether a hidden run can be brought back by this role
    "undelete_honours_filter",  # whether only the run that was named came back
    "rate_headers",  # which rate-limit headers come with status 200
    "undelete_window",  # seconds, as the server says
    "delete_all_children",  # whether DeleteRunInput has deleteAllChildren (forks)
    "storage_tree",  # whether Entity has storageTree
    "artifacts_of_run",  # which artifacts go with a run
    "system_artifacts",  # whether wandb-history artifacts outlive their run
    "file_urls",  # how long a file's URL works after its run is hidden
]
UNANSWERED = "unanswered"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Answer(_Part, frozen=True, kw_only=True):
    """One question with what the server did: a short code, or `unanswered` with why in `detail`."""

    question: Question
    answer: str
    detail: str | None = None


class Profile(_Part, frozen=True, kw_only=True):
    """One probe. `role`: under which it ran. `left`: what it left behind on the server, in words."""

    schema: Literal["wbgql-erasure-profile/1"] = "wbgql-erasure-profile/1"
    made_at: str
    base_url: str
    deployment: str | None
    version: str | None
    is_test: bool
    role: str | None
    answers: list[Answer]
    left: list[str]

    @property
    def digest(self) -> str:
        """`sha256:...` over the canonical bytes: what a plan cites."""
        return digest(self)

    def answer(self, question: Question) -> str:
        """The answer to a question, `unanswered` where it was not put."""
        found = (answer.answer for answer in self.answers if answer.question == question)
        return next(found, UNANSWERED)


_DECODER = msgspec.json.Decoder(Profile)


def parse_profile(content: bytes) -> Profile:
    """Read a profile as `canonical.encode` wrote it.

    Raises:
        UsageError: not a profile.
    """
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a profile of this version: {error}") from error
