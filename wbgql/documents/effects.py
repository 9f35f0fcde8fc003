"""What each mutation of the SDL can do to data that is stored already. No I/O.

wbgql sends a mutation that can destroy only behind its gate (rights, target, holds). An operation of the
caller's own has no gate, so this table decides. A mutation that is not in the table counts as destroying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NO_COMMAND = "wbgql has no command for this; use the pages of your W&B server"
_UPLOAD = "upload files with the wandb SDK, which logs them to a run of its own"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one mutation can do.

    `destroys`: always, or only with one of the arguments `losing`. Destroying is: data is deleted, hidden,
    replaced as a whole, or moved to where a hold does not follow it; or a tag, which may be a hold, is
    removed. `far`: one call changes many things, or who may see them. `instead`: what to use.
    """

    destroys: bool = False
    losing: frozenset[str] = frozenset()
    far: bool = False
    instead: str = _NO_COMMAND


def _destroys(instead: str = _NO_COMMAND) -> Effect:
    return Effect(destroys=True, instead=instead)


def _losing(*arguments: str, instead: str = _NO_COMMAND, far: bool = False) -> Effect:
    return Effect(losing=frozenset(arguments), instead=instead, far=far)


_KEEPS = Effect()
_FAR = Effect(far=True)
_UNKNOWN = _destroys("this version of wbgql does not know the mutation, so it counts as destroying")

# Source: inputs of schema/wandb.graphql (2026-11). `jobProgram` on a run that exists is how a process starts
# the run again: what the run had logged before is then discarded.
EFFECTS: Mapping[str, Effect] = {
    # runs
    "upsertBucket": _losing(
        "jobProgram",
        "config",
        "summaryMetrics",
        "tags",
        instead="use `wbgql runs update`, `tag` or `untag`, which read the run first and keep the rest",
    ),
    "updateRunState": _KEEPS,
    "rewindRun": _destroys(),
    "stopRun": _KEEPS,
    "deleteRun": _destroys("use `wbgql runs delete` or client.delete_run"),
    "deleteRuns": _destroys("use `wbgql runs delete` or client.delete_runs"),
    "undeleteRuns": _FAR,
    "modifyRuns": _losing("removeTags", instead="use `wbgql runs untag`", far=True),
    "moveRuns": _destroys(),
    "upsertRunGroup": _KEEPS,
    "setTagColor": _KEEPS,
    # run files: an upload replaces what was stored under the name
    "createRunFiles": _destroys(_UPLOAD),
    "markRunFilesUploaded": _KEEPS,
    "deleteFiles": _destroys("use `wbgql files delete` or client.delete_files"),
    "addFiles": _destroys(_UPLOAD),
    "copyFile": _destroys(_UPLOAD),
    # artifacts: write
    "createArtifactType": _KEEPS,
    "createArtifact": _KEEPS,
    "createArtifactManifest": _KEEPS,
    "updateArtifactManifest": _destroys("log a new version with the wandb SDK"),
    "createArtifactFiles": _destroys("log a new version with the wandb SDK"),
    "completeMultipartUploadArtifact": _KEEPS,
    "commitArtifact": _KEEPS,
    "createClientIDMapping": _KEEPS,
    "useArtifact": _KEEPS,
    "updateArtifact": _losing("aliases", "labels", "metadata", "tagsToDelete", "ttlDurationSeconds"),
    # artifacts: aliases, links, collections
    "addAliases": _KEEPS,
    "deleteAliases": _destroys(),
    "addProtectedAliases": _KEEPS,
    "linkArtifact": _KEEPS,
    "unlinkArtifact": _destroys(
        "use `wbgql artifacts delete --delete-links`, or the pages of your W&B server"
    ),
    "createArtifactPortfolio": _KEEPS,
    "createArtifactSequence": _KEEPS,
    "updateArtifactSequence": _KEEPS,
    "updateArtifactPortfolio": _KEEPS,
    "moveArtifactSequence": _destroys(),
    "createArtifactCollectionTagAssignments": _KEEPS,
    "deleteArtifactCollectionTagAssignments": _destroys(),
    # artifacts: delete
    "deleteArtifact": _destroys("use `wbgql artifacts delete` or client.delete_artifact"),
    "deleteArtifactSequence": _destroys("use `wbgql artifacts delete` for each version"),
    "deleteArtifactPortfolio": _destroys(),
    # projects and registries
    "upsertModel": _losing("owner", "views", far=True),
    "renameProject": _FAR,
    "deleteModel": _destroys(
        "use `wbgql runs delete` and `wbgql artifacts delete` for what the project holds"
    ),
    "moveProjects": _destroys(),
    "cloneProjects": _FAR,
    "createProjectMembers": _FAR,
    "deleteProjectMembers": _destroys(),
    "updateProjectMember": _FAR,
    "updateProjectTeamMember": _FAR,
    # sweeps
    "upsertSweep": _KEEPS,
    "enqueueSweepRun": _KEEPS,
    "createAgent": _KEEPS,
    "agentHeartbeat": _KEEPS,
    "deleteSweep": _destroys("use `wbgql runs delete` for the runs of the sweep"),
    "deleteSweeps": _destroys("use `wbgql runs delete` for the runs of the sweeps"),
    # people
    "createTeam": _KEEPS,
    "createInvite": _KEEPS,
    "deleteInvite": _destroys(),
    "createUser": _KEEPS,
    "updateUser": _KEEPS,
    "createServiceAccount": _KEEPS,
    "generateApiKey": _KEEPS,
    "deleteApiKey": _destroys(),
    # alerts, charts, reports
    "notifyScriptableRunAlert": _KEEPS,
    "createCustomChart": _KEEPS,
    "deleteView": _destroys(),
    # automations
    "createFilterTrigger": _KEEPS,
    "updateFilterTrigger": _KEEPS,
    "deleteTrigger": _destroys(),
    "createGenericWebhookIntegration": _KEEPS,
    # launch
    "createRunQueue": _KEEPS,
    "upsertRunQueue": _KEEPS,
    "deleteRunQueues": _destroys(),
    "pushToRunQueue": _KEEPS,
    "pushToRunQueueByName": _KEEPS,
    "popFromRunQueue": _destroys(),
    "ackRunQueueItem": _KEEPS,
    "failRunQueueItem": _KEEPS,
    "updateRunQueueItemWarning": _KEEPS,
    "deleteFromRunQueue": _destroys(),
    "createLaunchAgent": _KEEPS,
    "updateLaunchAgent": _KEEPS,
    "createDefaultResourceConfig": _KEEPS,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One field that a mutation asks of the root type, with the arguments of its input.

    `literal`: arguments that the document itself gives. `variables`: arguments and the variables that give
    them. `whole`: the variable that gives the whole input, if one does.
    """

    field: str
    literal: frozenset[str] = frozenset()
    variables: Mapping[str, str] | None = None
    whole: str | None = None

    @property
    def effect(self) -> Effect:
        """What the mutation can do; one that the table does not know destroys."""
        return EFFECTS.get(self.field, _UNKNOWN)

    def destroying(self, given: Mapping[str, Any]) -> str | None:
        """Say what of this call can destroy, with the variables `given`; None if nothing can."""
        if self.effect.destroys:
            return self.field
        passed = set(self.literal)
        passed.update(name for name, variable in (self.variables or {}).items() if variable in given)
        if self.whole is not None and self.whole in given:
            value = given[self.whole]
            # What is no object cannot be looked into, so it counts as every argument.
            passed.update(value if isinstance(value, Mapping) else self.effect.losing)
        lost = sorted(passed & self.effect.losing)
        return f"{self.field}({', '.join(lost)})" if lost else None
