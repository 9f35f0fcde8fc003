"""Which store `--storage` names, and how a store folder of the local server is looked into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wbgql.erasure.verifying.storage_probes import Sight, Sights, Thing

if TYPE_CHECKING:
    from wbgql.erasure.verifying.storage_probes import StorageProbe
    from wbgql.server.operator.probe import Remains, StoreProbe

_LOCAL, _FSSPEC = "local:", "fsspec:"


class LocalStoreProbe:
    """A store folder of the local server, or a copy of one. See `wbgql.server.operator.probe`.

    `texts` are looked for as bytes beside the ids of the runs.
    """

    name = "local"

    def __init__(self, data: Path, texts: Sequence[str]) -> None:
        self._data = data
        self._texts = texts

    def look(self, things: Sequence[Thing], alive: Sequence[Thing]) -> Sights:
        """Look for rows, contents and bytes; reads the folder once. `alive` must be there too."""
        from wbgql.server.operator.probe import open_probe

        with open_probe(self._data) as store:
            found = store.find_bytes([needle.encode() for needle in [*self._ids(things), *self._texts]])
            shared = {
                thing.key
                for thing in things
                if thing.kind == "run"
                and thing.key.encode() in found
                and store.is_id_elsewhere(thing.project.entity, thing.project.project, thing.key)
            }
            missing = sum(not _remains(store, thing).places for thing in alive)
            bytes_of = found - {key.encode() for key in shared}
            seen = {thing: _sight(thing, _remains(store, thing), bytes_of) for thing in things}
            strays = store.count_strays()
        return Sights(
            things=seen,
            found=sum(text.encode() in found for text in self._texts),
            limits=self._limits(things, len(shared), missing, strays),
            complete=not missing and not strays,
        )

    @staticmethod
    def _ids(things: Sequence[Thing]) -> list[str]:
        return [thing.key for thing in things if thing.kind == "run"]

    def _limits(self, things: Sequence[Thing], shared: int, missing: int, strays: int) -> list[str]:
        from wbgql.server.operator.probe import MIN_NEEDLE

        short = sum(len(text.encode()) < MIN_NEEDLE for text in [*self._ids(things), *self._texts])
        said = {
            f"{short} ids or texts under {MIN_NEEDLE} bytes were not looked for as bytes": short,
            f"{shared} ids stand in the store, and other projects have runs of the same ids": shared,
            f"{missing} live runs or versions are not in this store: is it the server's own?": missing,
            f"{strays} contents belong to nothing that is known: whose they are cannot be told": strays,
        }
        return [text for text, number in said.items() if number]


def make_probes(stores: Sequence[str], texts: Sequence[str]) -> list[StorageProbe]:
    """Read `local:DIR` and `fsspec:URL-TEMPLATE`; all templates make one probe.

    Raises:
        UsageError: a template that names no run or version.
    """
    from wbgql.erasure.verifying.storage_probes import FsspecProbe

    folders = [text.removeprefix(_LOCAL) for text in stores if text.startswith(_LOCAL)]
    templates = [text.removeprefix(_FSSPEC) for text in stores if text.startswith(_FSSPEC)]
    if len(folders) + len(templates) != len(stores) or "" in folders:
        raise click.BadParameter("give local:DIR or fsspec:URL-TEMPLATE", param_hint="--storage")
    probes: list[StorageProbe] = [LocalStoreProbe(Path(folder), texts) for folder in folders]
    if templates:
        probes.append(FsspecProbe(templates))
    return probes


def _remains(store: StoreProbe, thing: Thing) -> Remains:
    if thing.kind == "run":
        return store.run(thing.project.entity, thing.project.project, thing.key)
    return store.version(thing.key)


def _sight(thing: Thing, remains: Remains, found: set[bytes]) -> Sight:
    places = [*remains.places, *(["bytes"] if thing.kind == "run" and thing.key.encode() in found else [])]
    if places:
        return Sight(seen="stored", where=", ".join(places))
    return Sight(seen="absent" if remains.was_here else "not_looked_at")
