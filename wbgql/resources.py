"""Finds the packaged `.graphql` files: in the wheel, or in the checkout it was installed from."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _root() -> Path:
    wheel = _PACKAGE / "_data"
    return wheel if wheel.is_dir() else _PACKAGE.parent


def queries_dir() -> Path:
    """The folder of hand-written operations."""
    return _root() / "queries"


def schema_file() -> Path:
    """The SDL that every operation is validated against and the local server executes."""
    return _root() / "schema" / "wandb.graphql"


def client_schema_file() -> Path:
    """The directives that only the client sees; no server knows them."""
    return _root() / "schema" / "client.graphql"
