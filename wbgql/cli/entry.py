"""Where the installed command starts: quick to import, so that an early Ctrl-C is no traceback."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command and exit with its code."""
    try:
        from wbgql.cli.main import main

        code = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
