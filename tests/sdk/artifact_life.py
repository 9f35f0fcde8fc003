"""Makes, links, changes and deletes artifacts with the real SDK and prints what it saw as JSON.

Run as a process of its own. Arguments: project, another project that a link makes, scratch folder.
What `logs_artifacts` and `reads_artifacts` show is not shown again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import wandb

FEATURES = ("ARTIFACT_TAGS", "CLIENT_IDS", "LARGE_FILENAMES", "ARTIFACT_DIGEST_ALGORITHM")


def made(name: str, files: dict[str, str], **options: Any) -> Any:
    """An artifact of type dataset with these files."""
    artifact = wandb.Artifact(name, "dataset", **options)
    for path, text in files.items():
        with artifact.new_file(path) as file:
            file.write(text)
    return artifact


def refused(call: Callable[[], Any]) -> str:
    """The error a call ends with."""
    try:
        call()
    except (ValueError, wandb.errors.CommError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def names_in(folder: str) -> list[str]:
    """What is in a folder, by name."""
    return sorted(path.name for path in Path(folder).iterdir())


def outside(project: str) -> list[Any]:
    """A version that is saved while no run is open: the SDK opens one for it."""
    artifact = made("outside", {"a": "no run"})
    artifact.save(project=project)
    return [artifact.wait().version, artifact.logged_by().state]


def logging(run: Any, path: str) -> dict[str, Any]:
    """Versions that inherit, refuse, expire, are made by several, or hold many files."""
    api = wandb.Api()
    run.log_artifact(made("data", {"a": "1", "d/b": "2"}), aliases=["best"]).wait()
    draft = wandb.Api().artifact(f"{path}/data:v0").new_draft()
    draft.remove("a")
    run.log_artifact(draft).wait()
    short_lived = made("short", {"a": "short"})
    short_lived.ttl = timedelta(days=1)
    run.log_artifact(short_lived).wait()
    run.upsert_artifact(made("distributed", {"one": "1"}), distributed_id="job")
    together = run.finish_artifact(made("distributed", {"two": "2"}), distributed_id="job").wait()
    many = made("many", {f"{number}.txt": str(number) for number in range(120)})
    run.log_artifact(many).wait()
    region = wandb.Artifact("region", "dataset", storage_region="mars")
    here = wandb.Artifact("here", "dataset", storage_region="minio-local")
    return {
        "draft": sorted(wandb.Api().artifact(f"{path}/data:latest").manifest.entries),
        "ttl": [str(api.artifact(f"{path}/{name}").ttl) for name in ("short:v0", "data:v0")],
        "distributed": [together.version, sorted(api.artifact(f"{path}/distributed:v0").manifest.entries)],
        "many": [len(names_in(api.artifact(f"{path}/many:v0").download("many"))), len(many.files())],
        "empty": run.log_artifact(wandb.Artifact("empty", "dataset")).wait().size,
        "type": refused(lambda: run.log_artifact(wandb.Artifact("data", "other")).wait()),
        "region": refused(lambda: run.log_artifact(region).wait()),
        "here": run.log_artifact(here).wait().state,
        "features": [api._service_api.feature_enabled(one) for one in FEATURES],
        "hashed": [hashed(run, "hashed", path), hashed(run, "here", path)],
    }


def hashed(run: Any, name: str, path: str) -> list[Any]:
    """Log with XXH128, fetch and verify it; return what was logged and what came back."""
    artifact = wandb.Artifact(name, "dataset", digest_algorithm="XXH128")
    with artifact.new_file("hello.txt") as file:
        file.write("hello")
    version = run.log_artifact(artifact).wait().version
    found = wandb.Api().artifact(f"{path}/{name}:{version}")
    folder = found.download(f"{name}-xxh128", skip_cache=True)
    found.verify(folder)
    return [found.digest_algorithm.value, found.manifest.entries["hello.txt"].digest, names_in(folder)]


def references(run: Any, path: str, scratch: Path) -> dict[str, Any]:
    """References to files, to nowhere and to another version, and objects of another artifact."""
    (scratch / "far").mkdir(parents=True)
    (scratch / "far/x.txt").write_text("far")
    source = wandb.Artifact("refs", "dataset")
    source.add_reference((scratch / "far").as_uri())
    source.add_reference("https://example.invalid/big.bin", checksum=False, name="big.bin")
    source.add_reference(wandb.Api().artifact(f"{path}/data:v0").get_entry("a"), name="up")
    run.log_artifact(source).wait()
    table = wandb.Artifact("tables", "dataset")
    table.add(wandb.Table(columns=["a"], data=[[7]]), "t")
    run.log_artifact(table).wait()
    borrowed = wandb.Artifact("borrowed", "dataset")
    borrowed.add(wandb.Api().artifact(f"{path}/tables:v0").get("t"), "again")
    run.log_artifact(borrowed).wait()
    reachable = wandb.Api().artifact(f"{path}/refs:v0").new_draft()
    reachable.remove("big.bin")
    run.log_artifact(reachable).wait()
    folder = Path(wandb.Api().artifact(f"{path}/refs:v1").download(str(scratch / "down")))
    kinds = {
        entry.path: (entry.ref or "").split(":")[0]
        for entry in wandb.Api().artifact(f"{path}/refs:v0").manifest.entries.values()
    }
    return {
        "kinds": kinds,
        "fetched": {file.name: file.read_text() for file in sorted(folder.rglob("*")) if file.is_file()},
        "borrowed": wandb.Api().artifact(f"{path}/borrowed:v0").get("again").data,
    }


def links(run: Any, path: str, elsewhere: str) -> dict[str, Any]:
    """Links within the project, into one that does not exist yet, and into the model registry."""
    api = wandb.Api()
    here = run.link_artifact(api.artifact(f"{path}/data:v0"), "shelf", aliases=["prod"])
    there = run.link_artifact(api.artifact(f"{path}/data:v1"), f"{elsewhere}/shelf")
    draft = run.link_artifact(made("drafted", {"q": "q"}), "drafts")
    Path("net.bin").write_text("net")
    model = run.link_model("net.bin", "registered", "net")
    shelf = wandb.Api().artifact(f"{path}/shelf:v0")
    shelf.aliases = ["staging"]
    shelf.save()
    seen = {
        "linked": [one.qualified_name.split("/", 1)[1] for one in (here, there, draft, model)],
        "source": here.source_qualified_name == f"{path}/data:v0",
        "aliases": [sorted(wandb.Api().artifact(f"{path}/{name}:v0").aliases) for name in ("shelf", "data")],
        "unlink source": refused(wandb.Api().artifact(f"{path}/data:v0").unlink),
    }
    wandb.Api().artifact(f"{path}/shelf:v0").delete()
    wandb.Api().artifact(f"admin/{elsewhere}/shelf:v0").unlink()
    left = (f"{path}/shelf:v0", f"admin/{elsewhere}/shelf:v0", f"{path}/data:v0", f"{path}/data:v1")
    return seen | {"left": [wandb.Api().artifact_exists(name) for name in left]}


def collections(path: str) -> dict[str, Any]:
    """A collection renamed, described, tagged, retyped; versions by tag, order and page."""
    found = wandb.Api().artifact_collection("dataset", f"{path}/data")
    found.name, found.description, found.tags = "renamed", "about", ["one", "two words"]
    found.save()
    again = wandb.Api().artifact_collection("dataset", f"{path}/renamed")
    seen = [again.description, sorted(again.tags), sorted(one.name for one in again.artifacts())]
    again.name = "data"
    again.save()
    other = wandb.Api().artifact_collection("dataset", f"{path}/short")
    other.type = "shorts"
    other.save()
    version = wandb.Api().artifact(f"{path}/data:v0")
    version.tags = ["gold"]
    version.save()
    api = wandb.Api()
    name = f"{path}/data"
    return {
        "changed": seen,
        "retyped": api.artifact(f"{path}/short:latest").type,
        "tagged": [one.version for one in api.artifacts("dataset", name, tags=["gold"])],
        "ordered": [one.version for one in api.artifacts("dataset", name, order="+createdAt", per_page=1)],
        "portfolio": api.artifact_collection("dataset", f"{path}/drafts").is_sequence(),
        "exists": [api.artifact_collection_exists(f"{path}/{one}", "dataset") for one in ("data", "none")],
    }


def deleting(run: Any, path: str) -> dict[str, Any]:
    """Versions with aliases, in use, deleted twice; what a name means afterwards."""
    run.use_artifact("data:v1")
    both = [wandb.Api().artifact(f"{path}/data:v1") for _ in range(2)]
    seen = {"refused": refused(both[0].delete)}
    for one in both:
        one.delete(delete_aliases=True)
    api = wandb.Api()
    seen |= {
        "latest": api.artifact(f"{path}/data:latest").version,
        "used": [one.name for one in api.run(f"{path}/life").used_artifacts()],
        "prefix": names_in(api.artifact(f"{path}/data:v0").download("part", path_prefix="d")),
        "checkout": names_in(api.artifact(f"{path}/data:v0").checkout("out")),
        "by digest": api.artifact(f"{path}/data:{api.artifact(f'{path}/data:v0').digest}").version,
    }
    api.artifact_collection("dataset", f"{path}/data").delete()
    again = run.log_artifact(made("data", {"a": "1", "d/b": "2"})).wait()
    return seen | {"again": [again.version, len(wandb.Api().artifacts("dataset", f"{path}/data"))]}


def main(project: str, elsewhere: str, folder: str) -> None:
    """Do all, then print."""
    path = f"admin/{project}"
    settings = wandb.Settings(x_disable_stats=True, console="off")
    with wandb.init(project=project, id="life", settings=settings) as run:
        seen = {
            "logging": logging(run, path),
            "references": references(run, path, Path(folder)),
            "links": links(run, path, elsewhere),
            "collections": collections(path),
            "deleting": deleting(run, path),
        }
    seen["outside"] = outside(project)
    print("RESULT " + json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
