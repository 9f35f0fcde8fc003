"""Entry of the child process that `start` makes: serves until its standard input closes."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from wbgql.errors import WbgqlError
from wbgql.server.http.serving import SHUTDOWN_S, serve
from wbgql.server.settings import ServerSettings


def main(text: str) -> int:
    """Serve with the settings in `text` (JSON); print the base URL once, when ready."""
    given = json.loads(text)
    paths = {name: Path(given[name]) for name in ("data", "access_log") if given[name] is not None}
    settings = ServerSettings(**(given | paths))
    stop = threading.Event()
    threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    try:
        serve(settings, on_ready=lambda url: print(url, flush=True), stop=stop)
    except WbgqlError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _wait_for_parent(stop: threading.Event) -> None:
    # Reading ends when the parent closes the pipe, or dies and the system closes it.
    sys.stdin.read()
    stop.set()
    # A request that hangs must not keep an orphan alive; what was acknowledged is on disk.
    time.sleep(SHUTDOWN_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
