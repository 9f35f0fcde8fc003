"""A pytest fixture: a W&B server of a test's own, so that code which calls wandb can be tested.

Loaded by pytest wherever this package is installed, so nothing heavy is imported until a test asks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from wbgql.server import RunningServer


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker `wandb_server` known."""
    config.addinivalue_line(
        "markers", "wandb_server(**settings): what the server of the fixture `wandb_server` is started with"
    )


@pytest.fixture
def wandb_server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningServer]:
    """A running server with a port and an empty store of its own.

    `WANDB_BASE_URL`, `WANDB_API_KEY` and the SDK's folders are set for the test, so that
    `wandb.init(project=...)` and `wandb.Api()` just work. Takes about a second to start. The marker
    `wandb_server` sets what `wbgql.server.start` takes, such as `like="saas-2026"` or `stale_reads_s=4`.

    Example:
        def test_training_logs_its_loss(wandb_server):
            train()
            (run,) = wandb.Api().runs("admin/demo")
            assert run.summary["loss"] < 1
    """
    from wbgql.server import start  # noqa: PLC0415 - see the module's docstring

    marker = request.node.get_closest_marker("wandb_server")
    with start(tmp_path / "wandb-server", **({} if marker is None else marker.kwargs)) as server:
        for name, value in server.environment(tmp_path / "wandb-home").items():
            monkeypatch.setenv(name, value)
        try:
            yield server
        finally:
            wandb = sys.modules.get("wandb")
            if wandb is not None:
                # Its service process keeps the address and key it was started with.
                wandb.teardown()
