"""The example runs to its end, with nothing but commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
@pytest.mark.sdk
@pytest.mark.timeout(900)
def test_the_story_runs_from_the_request_to_the_closed_case(tmp_path):
    story = [sys.executable, ROOT / "examples" / "erasure" / "story.py", "--keep", tmp_path / "case"]

    done = subprocess.run(story, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "no file of the case names a run or the subject any more" in done.stdout
    assert "STORAGE_VERIFIED, 3 proved" in done.stdout
    assert (tmp_path / "case" / "report.html").exists()
