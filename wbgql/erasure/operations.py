"""Every operation that erasure sends beside those of the client."""

from __future__ import annotations

from typing import Any

from wbgql.documents import Operation
from wbgql.erasure.planning.details import OPERATIONS as DETAILS
from wbgql.erasure.planning.surroundings import OPERATIONS as SURROUNDINGS
from wbgql.erasure.reading.facts import OPERATIONS as FACTS
from wbgql.erasure.verifying.operations import OPERATIONS as VERIFYING

OPERATIONS: tuple[Operation[Any], ...] = (*FACTS, *DETAILS, *SURROUNDINGS, *VERIFYING)
