"""Applies a plan: hides its runs, deletes what was theirs alone, and records each step before it is taken."""

from wbgql.erasure.applying.job import Ask, apply, engine_of, standing
from wbgql.erasure.applying.options import Applied, Ending, Options, Preview
from wbgql.erasure.applying.previewing import preview

__all__ = ["Applied", "Ask", "Ending", "Options", "Preview", "apply", "engine_of", "preview", "standing"]
