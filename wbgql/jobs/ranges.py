"""Ranges of a job's items, cut into batches, and how they are named in the engine. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Batch:
    """The items `lo <= number < hi` of a job. A batch of another `generation` is another batch.

    `wave`: batches of one wave run side by side; a wave begins when the one before has ended.
    """

    job: str
    generation: int
    wave: int
    lo: int
    hi: int

    @property
    def id(self) -> str:
        """Its name in the engine: submitting the same batch twice makes one."""
        return f"{wave_prefix(self.job, self.generation, self.wave)}{self.lo}:{self.hi}"


def queue_name(job: str) -> str:
    """The queue of a job. Whoever listens to it works on no other job."""
    return f"wbgql-{job}"


def job_prefix(job: str) -> str:
    """What the names of all batches of a job begin with."""
    return f"{job}:"


def wave_prefix(job: str, generation: int, wave: int) -> str:
    """What the names of all batches of a wave begin with."""
    return f"{job_prefix(job)}{generation}:{wave}:"


def cut(lo: int, hi: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range into pieces of `size`; the last may be shorter."""
    return ((start, min(start + size, hi)) for start in range(lo, hi, size))


def make_batches(job: str, generation: int, wave: int, ranges: Iterable[tuple[int, int]]) -> list[Batch]:
    """Return the batches of a wave."""
    return [Batch(job, generation, wave, lo, hi) for lo, hi in ranges]
