"""Every packaged operation, noun by noun, and which of them destroy."""

from __future__ import annotations

from typing import Any

from wbgql.artifacts import OPERATIONS as ARTIFACTS_OPERATIONS
from wbgql.artifacts.lineage import OPERATIONS as LINEAGE_OPERATIONS
from wbgql.deletes import OPERATIONS as DELETES_OPERATIONS
from wbgql.documents import Operation
from wbgql.files import OPERATIONS as FILES_OPERATIONS
from wbgql.history import OPERATIONS as HISTORY_OPERATIONS
from wbgql.projects import OPERATIONS as PROJECTS_OPERATIONS
from wbgql.runs import OPERATIONS as RUNS_OPERATIONS
from wbgql.storage import OPERATIONS as STORAGE_OPERATIONS
from wbgql.upserts import OPERATIONS as UPSERTS_OPERATIONS
from wbgql.viewer import OPERATIONS as VIEWER_OPERATIONS

OPERATIONS: tuple[Operation[Any], ...] = (
    *VIEWER_OPERATIONS,
    *PROJECTS_OPERATIONS,
    *FILES_OPERATIONS,
    *RUNS_OPERATIONS,
    *HISTORY_OPERATIONS,
    *ARTIFACTS_OPERATIONS,
    *LINEAGE_OPERATIONS,
    *STORAGE_OPERATIONS,
    *UPSERTS_OPERATIONS,
    *DELETES_OPERATIONS,
)

PACKAGED = frozenset(operation.name for operation in OPERATIONS)

DESTRUCTIVE = frozenset(operation.name for operation in OPERATIONS if operation.destructive)
