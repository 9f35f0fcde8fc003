"""What type checkers know of the public API. Checked by mypy in `make check`; nothing here is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import pandas as pd
import polars as pl
import pyarrow as pa

import wbgql as wb
from wbgql.artifacts import Artifact, Version
from wbgql.deletes import ArtifactDeletion, DeletedRuns, Deletion, FileDeletion, Preview, Undeletion
from wbgql.downloads import Download
from wbgql.exports import Export
from wbgql.expressions import Expr, Field
from wbgql.files import File
from wbgql.history import HistoryScan, HistorySelection
from wbgql.lazy import LazyList
from wbgql.paths import RunPath
from wbgql.projects import Project, ProjectField
from wbgql.runs import Run, RunSelection
from wbgql.runs.explaining import Explanation
from wbgql.runs.groups import GroupBest
from wbgql.upserts import Upsert


def reading(client: wb.Client) -> None:
    runs = client.runs("acme/vision", where=wb.summary["acc"] > 0.9, select=[wb.config["lr"]])
    assert_type(runs, RunSelection)
    assert_type(iter(runs), Iterator[Run])
    assert_type(runs[0], Run)
    assert_type(runs[:5], RunSelection)
    assert_type(runs.first(), Run | None)
    assert_type(runs.ids(), list[str])
    assert_type(runs.paths(), list[RunPath])
    assert_type(runs.count(), int)
    assert_type(runs.explain(), Explanation)
    assert_type(runs.to_arrow(), pa.Table)
    assert_type(runs.to_polars(), pl.DataFrame)
    assert_type(runs.to_pandas(), pd.DataFrame)
    assert_type(runs.to_parquet("runs.parquet"), int)
    assert_type(runs.best(by="project", metric=wb.summary["acc"]), list[GroupBest[Run]])
    assert_type(client.run("acme/vision/r1"), Run)
    assert_type(client.projects(), LazyList[Project])
    assert_type(client.fields("acme/vision"), LazyList[ProjectField])
    assert_type(client.files("acme/vision/r1"), LazyList[File])
    assert_type(client.download_files("acme/vision/r1", Path()), Download)
    assert_type(client.export_runs("acme/vision", to="out"), Export)
    assert_type(client.scan_history("acme/vision/r1"), HistoryScan)
    assert_type(client.history(runs, keys=["loss"]), HistorySelection)
    assert_type(client.artifacts("acme/vision"), LazyList[Version])
    assert_type(client.logged_artifacts("acme/vision/r1"), LazyList[Artifact])
    assert_type(client.artifact("acme/vision/net:v0"), Version)


def changing(client: wb.Client, run: Run) -> None:
    assert_type(client.upsert_run(run, notes="seen"), Upsert)
    assert_type(client.add_tags(run, "keep"), Run)
    assert_type(client.set_config(run, {"lr": 0.1}), Run)
    assert_type(client.preview_delete(run), Preview)
    assert_type(client.delete_run(run), Deletion)
    assert_type(client.delete_runs([run]), list[Deletion])
    assert_type(client.delete_files(run, ["a.txt"]), FileDeletion)
    assert_type(client.delete_artifact("acme/vision/net:v0"), ArtifactDeletion)
    assert_type(client.undelete_runs("acme/vision", ["r1"]), Undeletion)
    assert_type(client.deleted_runs("acme/vision"), DeletedRuns)


def asking() -> None:
    depth: Field = wb.config["model"]["depth"]
    assert_type(depth > 3, Expr)
    both: Expr = (wb.run.state == "finished") & ~(wb.summary["acc"] > 0.9)
    assert_type(~both, Expr)
