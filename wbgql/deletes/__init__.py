"""Hide runs, and bring them back. Explicit ids only; one gate before every destructive call.

What W&B calls deletion hides a run: it leaves every list at once, can be brought back for some days,
and its bytes are removed later by the server alone. Nothing here says "deleted" of anything more.
"""

from typing import Any

from wbgql.deletes.artifacts import (
    DELETE_ARTIFACT,
    FIND_VERSION,
    FIND_VERSION_BY_NAME,
    LIST_OUTPUTS_TO_DELETE,
    LOOK_UP_VERSION,
    UNLINK_ARTIFACT,
    ArtifactDeletion,
    ArtifactPreview,
    FoundVersion,
    delete_artifact,
    delete_artifacts,
    find_version,
    iter_outputs,
    preview_artifact,
)
from wbgql.deletes.batches import DEFAULT_RATE, group_by_reason
from wbgql.deletes.deleted import DeletedRun, DeletedRuns, list_deleted, list_recorded, lists_deleted
from wbgql.deletes.elsewhere import FIND_RUNS, Elsewhere, search_elsewhere
from wbgql.deletes.files import DELETE_FILES, FileDeletion, delete_files
from wbgql.deletes.many import delete_runs
from wbgql.deletes.outputs import WithArtifacts, preview_outputs
from wbgql.deletes.previewing import Preview, preview_delete, preview_deletes
from wbgql.deletes.records import DeletionRecord, RecordedDeletion, make_record
from wbgql.deletes.runs import DELETE_RUN, STOP_RUN, Deletion, Outcome, delete_run
from wbgql.deletes.sending import LOOK_UP_MANY_RUNS, LOOK_UP_RUN, LookUp, look_up
from wbgql.deletes.undeleting import UNDELETE_RUNS, Undeletion, undelete_runs
from wbgql.documents import Operation

OPERATIONS: tuple[Operation[Any], ...] = (
    LOOK_UP_RUN,
    LOOK_UP_MANY_RUNS,
    FIND_RUNS,
    DELETE_RUN,
    UNDELETE_RUNS,
    DELETE_FILES,
    FIND_VERSION,
    FIND_VERSION_BY_NAME,
    LOOK_UP_VERSION,
    LIST_OUTPUTS_TO_DELETE,
    DELETE_ARTIFACT,
    STOP_RUN,
    UNLINK_ARTIFACT,
)

__all__ = [
    "DEFAULT_RATE",
    "DELETE_ARTIFACT",
    "DELETE_FILES",
    "DELETE_RUN",
    "OPERATIONS",
    "STOP_RUN",
    "UNLINK_ARTIFACT",
    "ArtifactDeletion",
    "ArtifactPreview",
    "DeletedRun",
    "DeletedRuns",
    "Deletion",
    "DeletionRecord",
    "Elsewhere",
    "FileDeletion",
    "FoundVersion",
    "LookUp",
    "Outcome",
    "Preview",
    "RecordedDeletion",
    "Undeletion",
    "WithArtifacts",
    "delete_artifact",
    "delete_artifacts",
    "delete_files",
    "delete_run",
    "delete_runs",
    "find_version",
    "group_by_reason",
    "iter_outputs",
    "list_deleted",
    "list_recorded",
    "lists_deleted",
    "look_up",
    "make_record",
    "preview_artifact",
    "preview_delete",
    "preview_deletes",
    "preview_outputs",
    "search_elsewhere",
    "undelete_runs",
]
