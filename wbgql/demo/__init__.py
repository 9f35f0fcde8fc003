"""The main job, end to end, on a local server: log, find, change, hide, prove, purge."""

from wbgql.demo.story import run_demo

__all__ = ["run_demo"]
