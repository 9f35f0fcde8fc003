"""What was read of a run's history and what was not, so that nothing is dropped in silence. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from wbgql.paths import RunPath


@dataclass(slots=True)
class HistoryCoverage:
    """What was read of one run; filled in while it is read.

    `rows` counts the rows that came, before they are cut to keys or filtered, and `exported` those of them
    that came from exported files. `expected` is the run's own count of logged rows, None where it says
    none. `complete` is True where every row of the run was read, False where rows are known to be missing,
    None where nobody can tell: still reading, a range of steps, samples. `note` says why it is not True.
    """

    run: RunPath
    rows: int = 0
    exported: int = 0
    expected: int | None = None
    complete: bool | None = None
    note: str | None = None

    @property
    def is_missing(self) -> bool:
        """Whether rows are known to be missing: the run is gone, hidden, or brought fewer than it counts."""
        return self.complete is False

    def reset(self) -> None:
        """Start over: nothing was read yet."""
        self.rows = self.exported = 0
        self.expected = self.complete = self.note = None

    def close(self, *, whole_range: bool) -> None:
        """Compare the rows read with those counted, at the end of a scan."""
        if not whole_range:
            self.note = "a range of steps: rows outside of it are not counted"
        elif self.expected is None:
            self.note = "the server does not count this run's rows"
        elif self.rows > self.expected == 0:
            self.note = f"the server counts no rows of this run, and {self.rows} came: its count is wrong"
        elif self.rows < self.expected:
            self.complete = False
            self.note = (
                f"{self.rows} rows came, the run counts {self.expected}: a step that was logged twice"
                " counts twice; otherwise read it again with a smaller page_size"
            )
        else:
            self.complete = True

    def fail(self, reason: str) -> None:
        """Note that the run could not be read, or not to its end."""
        self.complete = False
        self.note = reason
