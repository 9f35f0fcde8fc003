"""The job as a W&B run of its own, through the real wandb SDK: stages and counts, never a name.

Off unless asked for. Whatever goes wrong with it is a warning: no erasure waits for its own log.
"""

# ruff: noqa: PLC0415 - the wandb SDK is optional, and heavy
from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wbgql.erasure.records.plan import Plan
from wbgql.errors import ConfigError, UsageError
from wbgql.paths import ProjectPath
from wbgql.settings import Settings

JOB_TYPE = "erasure"
BUNDLE_TYPE = "erasure-certificate"

_INIT_TIMEOUT_S = 30.0


class NoLog:
    """Logs nothing: what a job uses that nobody asked to be logged."""

    def stage(self, name: str, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Do nothing."""

    def verified(self, verdict: str, counts: Mapping[str, int]) -> None:
        """Do nothing."""

    def bundle(self, folder: Path, digest: str) -> None:
        """Do nothing."""

    def finish(self, *, failed: bool = False) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(failed=error is not None)


class RunLog(NoLog):
    """One W&B run that a job logs to; the same one again whenever the job goes on.

    `on_warning` is told once what went wrong, in words without a name; from then on nothing is logged. Use it
    as a context manager: leaving it finishes the run, as failed where an exception leaves.

    Raises:
        UsageError: the project is one that the plan erases from.
        ConfigError: the wandb SDK is not installed.
    """

    def __init__(
        self, plan: Plan, project: ProjectPath, settings: Settings, *, on_warning: Callable[[str], object]
    ) -> None:
        if project in plan.project_paths:
            raise UsageError(
                f"--log-to names {str(project)!r}, which this plan erases from: name another project"
            )
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise ConfigError("--log-to needs the wandb SDK: pip install wandb") from error
        self._wandb = wandb
        self._on_warning = on_warning
        self._folder = tempfile.TemporaryDirectory(prefix="wbgql-log-", ignore_cleanup_errors=True)
        self._run: Any = None
        self._given_up = False
        self._guard(lambda: self._start(plan, project, settings))

    def stage(self, name: str, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Log how things stand: counts by kind and outcome, as the ledger has them, at a stage of the job."""
        flat = {f"{kind}s/{outcome}": number for kind, by in counts.items() for outcome, number in by.items()}
        self._guard(lambda: self._log(name, flat))

    def verified(self, verdict: str, counts: Mapping[str, int]) -> None:
        """Log a verification: its verdict and its counts."""
        flat = {f"verification/{name}": number for name, number in counts.items()}
        self._guard(lambda: self._log(verdict, flat))

    def bundle(self, folder: Path, digest: str) -> None:
        """Log a certificate's folder as an artifact. It names runs by keyed hashes only."""
        self._guard(lambda: self._log_bundle(folder, digest))

    def finish(self, *, failed: bool = False) -> None:
        """End the run and remove what the SDK wrote on this machine. May be called twice."""
        if self._run is not None:
            self._guard(lambda: self._run.finish(exit_code=1 if failed else 0))
        self._run, self._given_up = None, True
        self._folder.cleanup()

    def _start(self, plan: Plan, project: ProjectPath, settings: Settings) -> None:
        # Everything that the SDK collects by itself is off: host, user, command line, code, git, console.
        own = self._wandb.Settings(
            base_url=settings.base_url,
            api_key=settings.api_key,
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            silent=True,
            host="",
            program="wbgql",
            init_timeout=_INIT_TIMEOUT_S,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        short = plan.digest.removeprefix("sha256:")[:16]
        self._run = self._wandb.init(
            entity=project.entity,
            project=project.project,
            id=f"erasure-{short}",
            name=f"erasure {short}",
            job_type=JOB_TYPE,
            resume="allow",
            reinit="create_new",
            dir=self._folder.name,
            config={
                "plan": plan.digest,
                "tool": f"{plan.tool.name} {plan.tool.version}",
                "is_test": plan.server.is_test,
                "runs": len(plan.runs),
            },
            settings=own,
        )

    def _log(self, stage: str, flat: Mapping[str, int]) -> None:
        self._run.log(dict(flat))
        self._run.summary["stage"] = stage

    def _log_bundle(self, folder: Path, digest: str) -> None:
        name = f"erasure-{digest.removeprefix('sha256:')[:16]}"
        artifact = self._wandb.Artifact(name, type=BUNDLE_TYPE, metadata={"digest": digest})
        artifact.add_dir(str(folder))
        self._run.log_artifact(artifact)

    def _guard(self, action: Callable[[], object]) -> None:
        """Do it, and give the log up where that fails."""
        if self._given_up:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, the erasure goes on
            self._give_up(type(error).__name__)

    def _give_up(self, reason: str) -> None:
        run, self._run, self._given_up = self._run, None, True
        if run is not None:
            with suppress(Exception):
                run.finish(exit_code=1)
        self._on_warning(f"the job is not logged to W&B any more: {reason}; it goes on without")
