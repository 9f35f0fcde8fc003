"""Addresses of pages, below whatever path prefix the server stands behind. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from wbgql.server.store.database import Row

SERVICE = "/~"
"""Where sign-in and style sheets are: no entity's name begins so."""

Query = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Links:
    """Makes paths from the root of the host. `prefix`: the path of the server itself, without a last slash.

    `static` tells versions of the style sheet and script apart, so that browsers may keep them for good.
    """

    prefix: str
    static_version: str

    def to(self, *parts: str, query: Query = ()) -> str:
        """The path of `parts`, each quoted whole, with a query string."""
        path = "".join(f"/{quote(part, safe='')}" for part in parts)
        return self.below(f"{path or '/'}", query)

    def below(self, path: str, query: Query = ()) -> str:
        """A path that is quoted already, below the prefix."""
        pairs = list(query)
        return f"{self.prefix}{path}{'?' if pairs else ''}{urlencode(pairs)}"

    def static(self, name: str) -> str:
        """The style sheet, script or icon called `name`."""
        return self.below(f"{SERVICE}/static/{self.static_version}/{name}")

    def login(self, after: str = "") -> str:
        """The sign-in form, which leads on to `after`."""
        return self.below(f"{SERVICE}/login", [("next", after)] if after else ())

    def logout(self) -> str:
        """Where the sign-out button posts to."""
        return self.below(f"{SERVICE}/logout")

    def project(self, project: Row, *more: str, query: Query = ()) -> str:
        """A project's runs, or one of its other pages."""
        return self.to(project["entityName"], project["name"], *more, query=query)

    def run(self, run: Row, *more: str, query: Query = ()) -> str:
        """A run's page, or one of its other pages: the URL that the SDK prints."""
        return self.project(run["project"], "runs", run["name"], *more, query=query)

    def collection(self, project: Row, collection: Row, *more: str, query: Query = ()) -> str:
        """An artifact collection, or one of its versions: the URL that the SDK's `Artifact.url` gives."""
        kind = collection["defaultArtifactType"]["name"]
        return self.project(project, "artifacts", kind, collection["name"], *more, query=query)
