"""What a server is started with. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from wbgql.errors import ConfigError
from wbgql.server.likeness.switches import OFF, ON, SWITCHES, Likeness

DEFAULT_PORT = 8899
WEEK_S = 7 * 86400

NORMAL, FULL = "normal", "full"
SYNCS = (NORMAL, FULL)

KEEP, PURGE = "keep", "purge"
SYSTEM_ARTIFACTS = (KEEP, PURGE, OFF)
"""`keep`: they survive the purge of their run, as on W&B. `purge`: they go with it. `off`: none is made."""


def default_data_dir() -> Path:
    """The folder a server keeps its store in when none is named."""
    return Path(platformdirs.user_data_dir("wbgql")) / "server"


_PREFIX = re.compile(r"(/[\w.~-]*[\w~-])*", re.ASCII)


@dataclass(frozen=True)
class Periods:
    """What a purge goes by: seconds after the deletion of a run, and of an artifact (None: never).

    `system_artifacts`: those of purged runs go too.
    """

    runs_s: float = WEEK_S
    artifacts_s: float | None = WEEK_S
    system_artifacts: bool = False


@dataclass(frozen=True)
class ServerSettings(Likeness):
    """A server's address, its store, its times, and what it is like. Times are in seconds.

    Raises:
        ConfigError: a word that a setting does not know, or not a path prefix.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes any free port."""
    path_prefix: str = ""
    """Where everything is below, such as `/wandb`. A proxy may cut it off or pass it on."""
    retention_s: float = WEEK_S
    """How long a deleted run can still be restored; then its bytes go."""
    heartbeat_timeout_s: float = 300.0
    """A running run this long without a file_stream request is shown as crashed.

    wandb-core sends one at least every 30 s and may wait 75 s between retries
    (wandb SDK 0.31.0 `core/internal/filestream`).
    """
    request_timeout_s: float = 30.0
    """A request that takes longer is stopped, so that it does not keep others waiting."""
    purge_interval_s: float = 600.0
    upload_url_ttl_s: float = 24 * 3600.0
    download_url_ttl_s: float = 3600.0
    max_upload_bytes: int = 64 * 2**30
    """One uploaded content may be this large; a larger one is refused with 413."""
    first_user: str = "admin"
    """Name of the user made when a store has none."""
    artifact_gc: str = ON
    """Whether a purge removes deleted artifacts; a stock self-managed W&B does not (W&B docs, 2026-11)."""
    artifact_retention_s: float | None = None
    """How long a deleted artifact stays before a purge removes it; None: as long as a run."""
    sync: str = NORMAL
    """`full`: what was acknowledged survives a power cut too, at the cost of a disk flush for each write."""
    system_artifacts: str = KEEP
    """What becomes of `run-<id>-history` artifacts; one of `SYSTEM_ARTIFACTS`."""
    code_saving: str = ON
    """Whether users' accounts tell the SDK to save code, unless a script says no; or only the scripts do.

    On, as upstream's tests of the saved `git diff` take a new account to be (wandb/wandb
    `tests/system_tests/test_core/test_git.py`, 2026-05); the teams of W&B's cloud begin with it off.
    """
    access_log: Path | None = None
    """A file that gets one JSON line for each request; see `access_log.Entry`."""

    @property
    def periods(self) -> Periods:
        """When a purge removes what."""
        artifacts_s = self.retention_s if self.artifact_retention_s is None else self.artifact_retention_s
        return Periods(
            self.retention_s, artifacts_s if self.artifact_gc == ON else None, self.system_artifacts == PURGE
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("artifact_gc", self.artifact_gc, SWITCHES)
        _check("sync", self.sync, SYNCS)
        _check("code_saving", self.code_saving, SWITCHES)
        if not _PREFIX.fullmatch(self.path_prefix):
            raise ConfigError(f"path_prefix is {self.path_prefix!r}, write it like /wandb")
        _check("system_artifacts", self.system_artifacts, SYSTEM_ARTIFACTS)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}, choose one of {', '.join(known)}")
