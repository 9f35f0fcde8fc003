"""Who the key belongs to, what it may do, and what the server says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from wbgql.cautions import warn
from wbgql.documents import NOT_FETCHED, Operation, Result
from wbgql.errors import AuthenticationError, CoverageWarning, RequestError, ServerUnavailable
from wbgql.wire.session import Session

# The embedded server names itself so; only there is the unit of dataRetentionDuration known.
LOCAL_DEPLOYMENT = "wbgql-local"


class _EntityName(Result, frozen=True):
    name: str


class _TeamEdge(Result, frozen=True):
    node: _EntityName | None


class _Teams(Result, frozen=True):
    edges: list[_TeamEdge]


class Viewer(Result, frozen=True):
    """The owner of the key. `entity` is the default entity, `admin` an instance admin's mark."""

    id: str
    username: str | None
    email: str | None
    entity: str | None
    admin: bool | None
    teams: _Teams | None

    @property
    def team_names(self) -> list[str]:
        """Teams the viewer belongs to, in the server's order."""
        return [edge.node.name for edge in self.teams.edges if edge.node] if self.teams else []


class _GetViewer(Result, frozen=True):
    viewer: Viewer | None


class ServerFeature(Result, frozen=True):
    """One named capability of the server."""

    name: str
    is_enabled: bool


class _LocalVersion(Result, frozen=True):
    out_of_date: bool | None
    latest_version_string: str | None
    version_on_this_instance_string: str | None


class ServerInfo(Result, frozen=True):
    """What a server says of itself. A feature that is not listed is off."""

    cli_version_info: Any
    latest_local_version_info: _LocalVersion | None = NOT_FETCHED
    features: list[ServerFeature | None] | None = NOT_FETCHED

    @property
    def version(self) -> str | None:
        """The version of a self-managed server; None where it does not say, as on W&B's own."""
        local = self.latest_local_version_info
        return local.version_on_this_instance_string if local else None

    @property
    def update(self) -> str | None:
        """The version that a self-managed server should be updated to; None where there is none."""
        local = self.latest_local_version_info
        return local.latest_version_string if local and local.out_of_date else None

    @property
    def enabled_features(self) -> list[str]:
        """Names of the features that are on; none where the server is too old to say."""
        return [feature.name for feature in self.features or () if feature and feature.is_enabled]


class _GetServerInfo(Result, frozen=True):
    server_info: ServerInfo | None


class _Retention(Result, frozen=True):
    deployment_id: str | None = NOT_FETCHED
    data_retention_duration: int | None = NOT_FETCHED


class _GetRetention(Result, frozen=True):
    server_info: _Retention | None


class _RightsViewer(Result, frozen=True):
    username: str | None
    admin: bool | None


class _Member(Result, frozen=True):
    username: str | None
    role: str | None
    admin: bool | None


class _RightsEntity(Result, frozen=True):
    name: str
    is_team: bool
    members: list[_Member]


class _GetRights(Result, frozen=True):
    viewer: _RightsViewer | None
    entity: _RightsEntity | None


GET_VIEWER = Operation("GetViewer", _GetViewer, informs=True)
GET_SERVER_INFO = Operation("GetServerInfo", _GetServerInfo)
GET_RETENTION = Operation("GetRetention", _GetRetention)
GET_RIGHTS = Operation("GetRights", _GetRights)
OPERATIONS: tuple[Operation[Any], ...] = (GET_VIEWER, GET_SERVER_INFO, GET_RETENTION, GET_RIGHTS)


@dataclass(frozen=True, slots=True)
class Retention:
    """What a server calls itself, and for how long it keeps what was deleted: a number without a unit.

    None: the server does not say.
    """

    deployment_id: str | None = None
    data_retention_duration: int | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """The viewer's standing in one entity.

    `role`: "instance admin", "admin", "member", ... as the server says it, "owner" for
    one's own entity, or None where the server does not say.
    """

    username: str
    entity: str
    role: str | None

    def may_delete(self, owner: str | None) -> bool | None:
        """May this viewer delete a run that `owner` created? None: only the server knows.

        Source: W&B docs, team settings: a member deletes only runs they created, an admin all (2026).
        """
        if self.role in ("instance admin", "admin", "owner") or owner == self.username:
            return True
        if self.role is None:
            return None
        return False


def get_viewer(session: Session) -> Viewer:
    """Return the owner of the key. One request.

    Raises:
        AuthenticationError: the server knows no such key.
    """
    viewer = session.execute(GET_VIEWER).viewer
    if viewer is None:
        raise AuthenticationError(
            "the server does not know this API key; check WANDB_API_KEY or run `wandb login`",
            operation=GET_VIEWER.name,
        )
    hidden = sum(edge.node is None for edge in viewer.teams.edges) if viewer.teams else 0
    if hidden:
        warn(
            CoverageWarning(f"{hidden} teams of {viewer.username!r} came as null: this key may not see them")
        )
    return viewer


def get_server_info(session: Session) -> ServerInfo | None:
    """Return what the server says of itself, or None where it says nothing. One request."""
    return session.execute(GET_SERVER_INFO).server_info


def get_undo_window(session: Session) -> timedelta | None:
    """How long a hidden run can be brought back, or None where that cannot be known.

    One request. `dataRetentionDuration` has no published unit, so its value is trusted only from the
    embedded server, which answers in seconds; everywhere else the answer is "unknown".

    Source: field seen in types generated from W&B's schema in September 2024; no unit given there.
    """
    info = get_retention(session)
    seconds = info.data_retention_duration
    if info.deployment_id != LOCAL_DEPLOYMENT or seconds is None:
        return None
    return timedelta(seconds=seconds)


def get_retention(session: Session) -> Retention:
    """Return what the server says of its deployment, if anything. One request."""
    try:
        found = session.execute(GET_RETENTION).server_info
    except RequestError as error:
        if error.retryable or isinstance(error, ServerUnavailable):
            raise
        found = None
    if found is None:
        return Retention()
    kept = found.data_retention_duration
    return Retention(found.deployment_id or None, None if kept is NOT_FETCHED else kept)


def get_rights(session: Session, entity: str) -> Rights:
    """Return the viewer's standing in `entity`. One request.

    Raises:
        AuthenticationError: the server knows no such key.
    """
    answer = session.execute(GET_RIGHTS, entity=entity)
    if answer.viewer is None:
        raise AuthenticationError("the server does not know this API key", operation=GET_RIGHTS.name)
    username = answer.viewer.username or ""
    return Rights(username=username, entity=entity, role=_role(answer, username))


def _role(answer: _GetRights, username: str) -> str | None:
    if answer.viewer and answer.viewer.admin:
        return "instance admin"
    entity = answer.entity
    if entity is None:
        return None
    if not entity.is_team and entity.name == username:
        return "owner"
    for member in entity.members:
        if member.username == username:
            return "admin" if member.admin else member.role
    return None
