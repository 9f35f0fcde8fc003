"""What the wandb SDK resolves in each case of a list: run as a process of its own, JSON in and out.

Each case is `{"environ": {...}, "home": ..., "cwd": ...}`. The SDK is imported once and each case is a fork of it, so
that no case sees what another one left.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import wandb
from wandb.sdk import wandb_setup
from wandb.sdk.lib import wbauth


def resolve(case: dict[str, Any]) -> dict[str, Any]:
    os.environ.clear()
    os.environ.update(case["environ"])
    os.chdir(case["cwd"])
    try:
        settings = wandb_setup.singleton().settings
        auth = wbauth.authenticate_session(host=settings.base_url, source="test", prompt=False)
    except Exception:  # noqa: BLE001 - whatever the SDK raises is its answer
        return {"error": True}
    return {
        "base_url": settings.base_url,
        "entity": settings.entity,
        "project": settings.project,
        "insecure": bool(settings.insecure_disable_ssl),
        "api_key": auth.api_key if isinstance(auth, wbauth.AuthApiKey) else None,
        "identity_token_file": str(auth.path) if isinstance(auth, wbauth.AuthIdentityTokenFile) else None,
        "headers": dict(settings.x_extra_http_headers or {}),
    }


def main() -> None:
    answers = []
    for case in json.load(sys.stdin):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as out:
                json.dump(resolve(case), out)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            answers.append(json.load(answer))
        os.waitpid(child, 0)
    json.dump({"version": wandb.__version__, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
