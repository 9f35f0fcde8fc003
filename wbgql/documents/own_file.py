"""The operations of a user's `.graphql` file, checked against the SDL. Sends nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wbgql.documents.loading import Definitions, Documents, load_documents, parse_file, spreads_of
from wbgql.errors import DocumentError
from wbgql.forks import lazy

if TYPE_CHECKING:
    from graphql import Node


class OwnFile(Documents):
    """The operations of one file. Fragments that it spreads and does not define are the package's.

    Names may be those of packaged operations: nothing of ours but fragments is loaded beside them.
    """

    def __init__(self, file: Path, *, schema: Path | None = None) -> None:
        super().__init__((file,), schema=schema)
        self.file = file

    def choose(self, name: str | None) -> str:
        """Return `name`, or the only operation's where none is given.

        Raises:
            DocumentError: no such operation, none at all, or several and none named.
        """
        if name is not None:
            self.operation_node(name)
            return name
        if len(self.names) != 1:
            what = f"it holds {', '.join(self.names)}: say which" if self.names else "it holds no operation"
            raise DocumentError(what, file=str(self.file))
        return self.names[0]

    @lazy
    def _definitions(self) -> Definitions:
        definitions = Definitions()
        for definition in parse_file(self.file).definitions:
            definitions.add(definition)
        ours = load_documents()
        waiting: list[Node] = list(definitions.all())
        while waiting:
            for name in spreads_of(waiting.pop()):
                if name not in definitions.fragments and name in ours.fragment_names:
                    definitions.add(ours.fragment_node(name))
                    waiting.append(ours.fragment_node(name))
        return definitions


def load_own_file(file: Path, *, schema: Path | None = None) -> OwnFile:
    """Read one file of operations and validate it against the SDL. About 0.5 s, most of it the SDL.

    Raises:
        DocumentError: with file, line and reason.
    """
    documents = OwnFile(file, schema=schema)
    documents.validate()
    return documents
