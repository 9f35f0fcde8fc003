"""Which mutations the audit log notes, and which it does not, with the reason.

A test compares both tables with the mutations that the server serves.
"""

from __future__ import annotations

import json

from wbgql.errors import RequestError, UsageError
from wbgql.server.backend import Context
from wbgql.server.projects import rows as projects
from wbgql.server.runs import lines
from wbgql.server.runs import rows as runs
from wbgql.server.runs import values as run_values
from wbgql.server.store.database import Row, row

NOTED: dict[str, str | None] = {
    "upsertBucket": None,
    "deleteRun": "run:delete",
    "deleteRuns": "run:delete_many",
    "undeleteRuns": "run:undelete_many",
    "modifyRuns": "run:update_many",
    "stopRun": "run:stop",
    "updateRunState": None,
    "moveRuns": None,
    "rewindRun": None,
    "deleteFiles": None,
    "deleteSweep": None,
    "deleteSweeps": None,
    "createArtifactType": None,
    "createArtifact": None,
    "commitArtifact": None,
    "updateArtifact": None,
    "deleteArtifact": "artifact:delete",
    "addAliases": None,
    "deleteAliases": None,
    "addProtectedAliases": None,
    "linkArtifact": None,
    "unlinkArtifact": None,
    "createArtifactSequence": None,
    "createArtifactPortfolio": None,
    "updateArtifactSequence": None,
    "updateArtifactPortfolio": None,
    "moveArtifactSequence": None,
    "deleteArtifactSequence": None,
    "deleteArtifactPortfolio": None,
    "createArtifactCollectionTagAssignments": None,
    "deleteArtifactCollectionTagAssignments": None,
    "upsertModel": None,
    "renameProject": None,
    "deleteModel": "project:delete",
    "createProjectMembers": None,
    "deleteProjectMembers": None,
    "updateProjectMember": None,
    "updateProjectTeamMember": None,
    "createInvite": None,
    "deleteInvite": None,
    "createTeam": None,
    "createUser": None,
    "updateUser": None,
    "generateApiKey": None,
    "deleteApiKey": None,
}
"""Mutations that are noted, and W&B's word for each; None where no word is known to mean this request.

Source: W&B docs, audit logging (2026-11).
"""

NOT_NOTED: dict[str, str] = {
    "createRunFiles": "gives out addresses, as the field Run.files does; uploads are in the access log",
    "createArtifactManifest": "one step of logging a version: createArtifact and commitArtifact are noted",
    "updateArtifactManifest": "one step of logging a version; a committed version refuses it",
    "createArtifactFiles": "one step of logging a version; it gives out addresses to upload to",
    "useArtifact": "adds a use to the lineage, and changes or removes nothing",
    "markRunFilesUploaded": "changes nothing on this server",
    "notifyScriptableRunAlert": "changes nothing on this server",
}
"""Mutations that the server serves and does not note, with the reason."""


def only_adds(context: Context, mutation: str, given: Row) -> bool:
    """Whether a request of a mutation in `NOTED` only adds to a run, which is noted only if it is refused.

    An SDK sends many of these while it logs. One that makes a run, may begin one again, or changes or removes
    a text, a tag or a value of one is another matter.
    """
    return mutation == "upsertBucket" and not _changes_run(context, given)


def _changes_run(context: Context, given: Row) -> bool:
    found = _run(context, given)
    if found is None or given.get("jobProgram") is not None:
        return True
    texts = (
        value != (found[column] or "")
        for name, column in runs.INPUT_COLUMNS.items()
        if (value := given.get(name)) is not None and found[column] is not None
    )
    tags = given.get("tags")
    return (
        any(texts)
        or (tags is not None and not set(json.loads(found["tags"])) <= set(tags))
        or _replaces(found["config_text"], given.get("config"))
        or _replaces(found["summary_text"], given.get("summaryMetrics"))
    )


def _run(context: Context, given: Row) -> Row | None:
    """The row of the run that an `UpsertBucketInput` changes; None if it makes one or is refused."""
    sql = (
        "SELECT runs.*, run_texts.config AS config_text, run_texts.summary AS summary_text"
        " FROM runs JOIN run_texts ON run_id = runs.id WHERE "
    )
    if given.get("id"):
        try:
            pk = runs.find_run_by_id(context, given["id"])["pk"]
        except RequestError:
            return None
        return row(context.db, sql + "runs.id = ?", (pk,))
    project = projects.find_project(context, given.get("entityName"), given.get("modelName"))
    if project is None:
        return None
    return row(context.db, sql + "project_id = ? AND name = ?", (project["pk"], given.get("name")))


def _replaces(old: str | None, new: str | None) -> bool:
    """Whether a text of config or summary lacks or changes a key of an older one.

    Not compared: what the SDK notes about itself under `_wandb`, and keeps changing.
    """
    if old is None or new is None:
        return False
    try:
        after = run_values.parse_object(new, "text")
    except UsageError:
        return True
    before = lines.parse_row(old)
    return any(
        key not in after or run_values.is_other(value, after[key])
        for key, value in before.items()
        if key != "_wandb"
    )
