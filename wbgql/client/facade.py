"""The facade users hold: one object, the nouns behind it. Sends nothing until something is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from wbgql.client.histories import Histories
from wbgql.client.operations import DESTRUCTIVE
from wbgql.client.reading import Reading
from wbgql.client.writing import Writing
from wbgql.documents import Operation
from wbgql.errors import NotApproved
from wbgql.own_operations import check_keeps, read_own_operation, send_own_operation

T = TypeVar("T")


class Client(Reading, Histories, Writing):
    """A W&B server, seen through its GraphQL API.

    Settings are read as the wandb SDK reads them: arguments, then `WANDB_*` variables, then its
    settings files, then netrc (`client.settings.origin` says where each came from). `operations` are
    folders of your own `.graphql` files, loaded beside the packaged ones. `session` replaces the
    connection, in tests for example. `on_retry` is told before each wait for a busy server.

    Raises:
        ConfigError: a setting is malformed, or no API key can be found.
        DocumentError: an operation of yours is broken or does not fit the SDL.
    """

    def execute(self, operation: Operation[T], **variables: Any) -> T:
        """Send one operation, packaged or your own, and return its typed result.

        Raises:
            NotApproved: it can destroy (`wbgql.documents.effects`), packaged or your own. The methods of the
                client send such operations, behind their checks.
        """
        if operation.destructive or operation.name in DESTRUCTIVE:
            raise NotApproved(
                f"{operation.name} destroys: call delete_run or another delete_*, which look at rights, "
                "target and holds first; nothing was sent"
            )
        if self.documents.get(operation.name).kind == "mutation":
            check_keeps(operation.name, self.documents.calls(operation.name), variables)
        return self.session.execute(operation, **variables)

    def query(
        self,
        file: Path | str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        allow_mutation: bool = False,
    ) -> Any:
        """Send one operation of a `.graphql` file of your own and return its data as JSON has it.

        The file is checked against the SDL first. One request. See `wbgql.own_operations`.

        Raises:
            DocumentError: the file or the operation is broken or does not fit the SDL.
            NotApproved: a mutation without `allow_mutation`, or one that can destroy.
        """
        own = read_own_operation(Path(file), operation)
        return send_own_operation(self.session, own, variables or {}, allow_mutation=allow_mutation)
