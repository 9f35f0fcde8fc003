"""Views of artifacts: the collections of a project, the versions of one, and one version."""

from __future__ import annotations

from typing import Any

from wbgql.errors import NotFound
from wbgql.scalars import parse_json
from wbgql.server.api.versions import visible_runs
from wbgql.server.artifacts import files as artifacts_files
from wbgql.server.artifacts import nodes as artifacts
from wbgql.server.artifacts import uploads as artifacts_uploads
from wbgql.server.artifacts.nodes import PORTFOLIO, SEQUENCE
from wbgql.server.pages import values
from wbgql.server.pages.project_views import project_frame
from wbgql.server.pages.visits import Answer, Content, Page, Visit, turn_pages
from wbgql.server.store.database import Row

COLLECTIONS_A_PAGE = 50
VERSIONS_A_PAGE = 100
FILES_A_PAGE = 200
NEIGHBOURS_SHOWN = 100


def to_version(visit: Visit, version: Row) -> Row:
    """A version as its own sequence has it; see `_shown`. `link` is None where the viewer may not go."""
    collection = artifacts.collection_of_version(visit.context, version)
    project = artifacts.project_of(visit.context, collection["projectPk"])
    return _shown(visit, version, collection, project, version["versionIndex"])


def _shown(visit: Visit, version: Row, collection: Row, project: Row | None, number: int) -> Row:
    """A version with its `title`, `kind`, `shownAliases` and `link` in one collection."""
    return version | {
        "title": f"{collection['name']}:v{number}",
        "kind": collection["defaultArtifactType"]["name"],
        "shownAliases": [alias for _, alias, pk in version["aliasRows"] if pk == collection["pk"]],
        "link": project and visit.links.collection(project, collection, f"v{number}"),
    }


def collections(visit: Visit, kind: Row | None = None) -> Page:
    """The collections of a project, newest first; of one type if one is named."""
    project, context = visit.project(), visit.context
    type_pk = None if kind is None else int(kind["pk"])
    offset = (visit.page_number() - 1) * COLLECTIONS_A_PAGE
    found = artifacts.list_collections(
        context, project, type_pk=type_pk, limit=COLLECTIONS_A_PAGE + 1, offset=offset
    )
    total = artifacts.count_collections(
        context, project, type_pk=type_pk, kinds=(SEQUENCE, PORTFOLIO), filters=None
    )
    shown = [_with_latest(visit, project, one) for one in found[:COLLECTIONS_A_PAGE]]
    pager = turn_pages(
        visit, COLLECTIONS_A_PAGE, shown=len(shown), more=len(found) > COLLECTIONS_A_PAGE, total=total
    )
    types = artifacts.list_types(context, project)
    frame = project_frame(visit, project, "artifacts")
    return Page(
        "artifacts.html", {**frame, "collections": shown, "types": types, "kind": kind, "pager": pager}
    )


def _with_latest(visit: Visit, project: Row, collection: Row) -> Row:
    latest = artifacts.find_member(visit.context, collection, artifacts.LATEST)
    scope = artifacts.in_collection(collection["pk"])
    return collection | {
        "count": artifacts.count_versions(visit.context, scope),
        "latest": latest,
        "link": visit.links.collection(project, collection),
    }


def below(visit: Visit) -> Answer:
    """What stands below a project's artifacts: a type, a collection `type/name`, or a version `type/name/v0`.

    A type's name may hold slashes, a collection's may not; so the end of the path is read first.

    Raises:
        NotFound: none of these.
    """
    project, context = visit.project(), visit.context
    parts = visit.path["rest"].split("/")
    for length in (2, 1):
        head, tail = "/".join(parts[:-length]), parts[-length:]
        kind = artifacts.find_type(context, project, head) if head else None
        found = kind and artifacts.find_collection(context, project, tail[0], type_pk=kind["pk"])
        version = found and artifacts.find_member(context, found, tail[1]) if length == 2 else None
        if found and version:
            return _version(visit, project, found, version)
        if found and length == 1:
            return _collection(visit, project, found)
    kind = artifacts.find_type(context, project, visit.path["rest"])
    if kind is None:
        raise NotFound(f"there is no artifact {visit.path['rest']} in this project", status=404)
    return collections(visit, kind)


def _collection(visit: Visit, project: Row, collection: Row) -> Page:
    scope = artifacts.in_collection(collection["pk"])
    offset = (visit.page_number() - 1) * VERSIONS_A_PAGE
    found = artifacts.list_versions(visit.context, scope, limit=VERSIONS_A_PAGE + 1, offset=offset)
    total = artifacts.count_versions(visit.context, scope)
    shown = [_shown(visit, one, collection, project, one["memberVersion"]) for one in found[:VERSIONS_A_PAGE]]
    pager = turn_pages(
        visit, VERSIONS_A_PAGE, shown=len(shown), more=len(found) > VERSIONS_A_PAGE, total=total
    )
    frame = project_frame(visit, project, "artifacts")
    return Page("collection.html", {**frame, "collection": collection, "versions": shown, "pager": pager})


def _version(visit: Visit, project: Row, collection: Row, version: Row) -> Answer:
    if "file" in visit.query:
        return _content(visit, version, visit.query["file"])
    context, pk = visit.context, version["pk"]
    offset = (visit.page_number() - 1) * FILES_A_PAGE
    found = artifacts_files.list_files(context.db, pk, limit=FILES_A_PAGE + 1, offset=offset)
    shown, total = found[:FILES_A_PAGE], artifacts_files.count_files(context.db, pk)
    users = "runs.id IN (SELECT run_id FROM artifact_runs WHERE artifact_id = ? AND role = 'input')"
    page: dict[str, Any] = {
        **project_frame(visit, project, "artifacts"),
        "collection": collection,
        "version": _shown(visit, version, collection, project, version["memberVersion"]),
        "metadata": values.to_entries(_metadata(version)),
        "files": shown,
        "pager": turn_pages(
            visit, FILES_A_PAGE, shown=len(shown), more=len(found) > FILES_A_PAGE, total=total
        ),
        "creator": next(iter(visible_runs(context, "runs.id = ?", (version["runPk"],), 1, 0)), None),
        "users": visible_runs(context, users, (pk,), NEIGHBOURS_SHOWN, 0),
        "sources": _neighbours(visit, version, artifacts.inputs_of_creator(version)),
        "results": _neighbours(visit, version, artifacts.outputs_of_users(version)),
        "links_elsewhere": [one for one in _memberships(visit, version) if one["pk"] != collection["pk"]],
    }
    return Page("version.html", page)


def _metadata(version: Row) -> dict[str, Any]:
    try:
        found = parse_json(version["metadata"] or "{}")
    except ValueError:
        return {"metadata": version["metadata"]}
    return found if isinstance(found, dict) else {"metadata": found}


def _neighbours(visit: Visit, version: Row, scope: artifacts.Scope) -> list[Row]:
    """Other versions up or down the line. A run that logs what is there already gets the version it used."""
    found = artifacts.list_versions(visit.context, scope, limit=NEIGHBOURS_SHOWN)
    shown = (to_version(visit, one) for one in found if one["pk"] != version["pk"])
    return [one for one in shown if one["link"]]


def _memberships(visit: Visit, version: Row) -> list[Row]:
    """The other collections that hold a version, where the viewer may go."""
    found = []
    for member in artifacts.memberships(visit.context, version):
        collection = artifacts.collection_of(visit.context, member["collectionPk"])
        project = collection and artifacts.project_of(visit.context, collection["projectPk"])
        if collection and project:
            number = f"v{member['versionIndex']}"
            link = visit.links.collection(project, collection, number)
            title = f"{project['entityName']}/{project['name']}/{collection['name']}:{number}"
            found.append({"pk": collection["pk"], "title": title, "link": link})
    return found


def _content(visit: Visit, version: Row, name: str) -> Content:
    found = artifacts_files.list_files(visit.context.db, version["pk"], names=[name])
    if not found or found[0]["contentPk"] is None:
        raise NotFound(f"there is no file {name} kept here for this artifact", status=404)
    return Content(
        artifacts_uploads.find_content(visit.context.backend, (version["pk"], found[0]["contentPk"]))
    )
