"""Shell completion of `--select`, `--order`, `--by`, ...: keys that runs of the project hold."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wbgql.cli.shared.app import App
from wbgql.private_files import replace_private

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# A shell waits while we ask: rather no keys than a long wait.
_PATIENCE_S = 2.0
_FRESH_S = 300.0
_MOST = 2000
_ATTRIBUTES = ("created_at", "heartbeat_at", "updated_at")


def complete_field(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a field of runs, after a `+` where one was typed; nothing where it cannot be known.

    After a `-`, click completes options and does not ask.
    """
    sign = incomplete[:1] if incomplete[:1] == "+" else ""
    typed = incomplete.removeprefix(sign)
    return _items(f"{sign}{key}" for key in _fields(ctx) if key.startswith(typed))


def complete_key(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a plain key, as histories have them."""
    from wbgql.expressions import parse_field

    keys = (parse_field(text).path for text in _fields(ctx))
    names = sorted({path.parts[0] for path in keys if path.section == "summary" and len(path.parts) == 1})
    return _items(name for name in names if name.startswith(incomplete))


def _items(texts: Iterable[str]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(text) for text in texts]


def _fields(ctx: click.Context) -> list[str]:
    app = ctx.find_object(App) or App()
    path = _path_of(ctx)
    return [*_ATTRIBUTES, *_known_keys(app, path)]


def _path_of(ctx: click.Context) -> str | None:
    """The project on the command line so far: the first of several paths."""
    named = [ctx.params.get(name) for name in ("paths", "path", "runpath")]
    # Arguments stay unread where the parser meets the option that has no value yet.
    for value in (*named, ctx.args):
        first = next(iter(value), None) if isinstance(value, (tuple, list)) else value
        if isinstance(first, str) and first:
            return first
    return None


def _known_keys(app: App, path: str | None) -> list[str]:
    """Keys from the cache or from the server; whatever goes wrong, an empty list."""
    cache = _cache_file(app, path)
    with suppress(OSError, ValueError):
        if 0 <= time.time() - cache.stat().st_mtime < _FRESH_S:
            return [str(key) for key in json.loads(cache.read_text(encoding="utf-8"))]
    keys = _in_time(lambda: _ask(app, path))
    if keys is None:
        return []
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_private(cache, json.dumps(keys).encode())
    return keys


def _in_time(ask: Callable[[], list[str]]) -> list[str] | None:
    found: list[list[str]] = []

    def work() -> None:
        # A shell is no place for a message: no keys then.
        with suppress(Exception):
            found.append(ask())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return found[0] if found else None


def _ask(app: App, path: str | None) -> list[str]:
    from itertools import islice

    client = app.make_client(**{**app.settings, "timeout_s": _PATIENCE_S})
    with client:
        project = _project(client, path)
        return _texts(field.path for field in islice(client.fields(project), _MOST))


def _project(client: Any, path: str | None) -> Any:
    if path is None:
        return client.project_path(client.settings.project or "")
    text = path if "/runs/" not in path else path.partition("/runs/")[0]
    parts = text.strip("/").split("/")
    return client.project_path("/".join(parts[:2]) if "://" not in text else text)


def _texts(paths: Iterable[str]) -> list[str]:
    """Fields as commands take them: `config.model.value.depth` is `config["model"]["depth"]`."""
    from wbgql.expressions import FieldPath

    found = filter(None, map(FieldPath.of_key, paths))
    return sorted({str(path) for path in found if path.parts[0] != "_wandb"})


def _cache_file(app: App, path: str | None) -> Path:
    from hashlib import sha256

    from platformdirs import user_cache_path

    named: Sequence[str] = [
        str(app.settings.get("base_url") or app.environ.get("WANDB_BASE_URL", "")),
        str(app.settings.get("entity") or app.environ.get("WANDB_ENTITY", "")),
        str(app.settings.get("project") or app.environ.get("WANDB_PROJECT", "")),
        # A key that sees less must not be shown what another saw.
        sha256(app.environ.get("WANDB_API_KEY", "").encode()).hexdigest(),
        path or "",
    ]
    return user_cache_path("wbgql") / f"fields-{sha256(json.dumps(named).encode()).hexdigest()[:24]}.json"
