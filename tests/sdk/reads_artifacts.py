"""Reads, changes and deletes artifacts with the real SDK and prints what it saw as JSON.

Run as a process of its own. Arguments: project, scratch folder.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import wandb


def read(api: Any, project: str, scratch: Path) -> dict[str, Any]:
    """What the public API shows."""
    run = api.run(f"{project}/r1")
    best = api.artifact(f"{project}/ds:best")
    draft = api.artifact(f"{project}/derived:v1")
    shelf = api.artifact(f"{project}/shelf:prod")
    return {
        "logged": sorted(f"{one.name} {one.type}" for one in run.logged_artifacts()),
        "logged_count": len(run.logged_artifacts()),
        "used": sorted(one.name for one in run.used_artifacts()),
        "best": [
            best.metadata,
            sorted(best.tags),
            best.description,
            best.size,
            best.file_count,
            sorted(best.aliases),
        ],
        "download": tree(best.download(root=str(scratch / "best"))),
        "entry": Path(best.get_entry("f.txt").download(root=str(scratch / "entry"))).read_text(),
        "incremental": tree(api.artifact(f"{project}/ds:inc").download(root=str(scratch / "inc"))),
        "draft": tree(draft.download(root=str(scratch / "draft"))),
        "table": draft.get("tab").data,
        "logged_by": best.logged_by().id,
        "used_by": [one.id for one in best.used_by()],
        "types": sorted(one.name for one in api.artifact_types(project)),
        "collections": sorted(one.name for one in api.artifact_type("dataset", project).collections()),
        "collections_b": [
            one.name for one in api.artifact_type("dataset", project).collections({"name": "ds"})
        ],
        "versions": [one.version for one in api.artifacts("dataset", f"{project}/ds")],
        "files": [len(best.files()), sorted(one.name for one in best.files())],
        "shelf": [shelf.name, shelf.is_link, shelf.source_name, [one.name for one in best.linked_artifacts]],
        "model": api.artifact(f"{project}/net:latest").type,
    }


def tree(root: str) -> dict[str, str]:
    """Every file below a folder, with its text."""
    folder = Path(root)
    return {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}


def change(api: Any, project: str) -> dict[str, Any]:
    """Save a changed version and collection, and read them again."""
    best = api.artifact(f"{project}/ds:best")
    best.description, best.metadata["k"], best.ttl = "d2", 1, timedelta(days=3)
    best.aliases = ["prod"]
    best.tags = ["t2", "t3"]
    best.save()
    collection = best.collection
    collection.description, collection.tags = "about", ["x y"]
    collection.save()

    api = wandb.Api()
    best = api.artifact(f"{project}/ds:v0")
    collection = api.artifact_collection("dataset", f"{project}/ds")
    return {
        "changed": [best.description, best.metadata["k"], str(best.ttl), best.aliases, sorted(best.tags)],
        "collection": [collection.description, list(collection.tags), sorted(collection.aliases)],
    }


def delete(api: Any, project: str) -> dict[str, Any]:
    """Unlink and delete, and look again."""
    api.artifact(f"{project}/shelf:prod").unlink()
    try:
        api.artifact(f"{project}/ds:v0").delete()
        refused = ""
    except wandb.errors.CommError as error:
        refused = str(error)
    api.artifact(f"{project}/ds:v1").delete(delete_aliases=True)
    api.artifact_collection("dataset", f"{project}/derived").delete()

    api = wandb.Api()
    return {
        "refused": refused,
        "linked_after": api.artifact_exists(f"{project}/shelf:prod"),
        "deleted_after": api.artifact_exists(f"{project}/ds:v1"),
        "latest_after": api.artifact(f"{project}/ds:latest").version,
        "collection_after": api.artifact_collection_exists(f"{project}/derived", "dataset"),
    }


def main(project: str, folder: str) -> None:
    """Read, change, delete, then print."""
    path = f"admin/{project}"
    seen = read(wandb.Api(), path, Path(folder)) | change(wandb.Api(), path) | delete(wandb.Api(), path)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
