"""What commands share: the client they ask, the terminal they may talk to, the global options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from wbgql.cli.shared.terminal import note
from wbgql.errors import RedirectRefused, RequestError
from wbgql.secrecy import Unshown

if TYPE_CHECKING:
    from wbgql.client import Client
    from wbgql.safety.holds import HoldRegister

F = TypeVar("F", bound=Callable[..., Any])

_NOTICED_WAIT_S = 1.0


def open_client(**settings: Any) -> Client:
    """Return a client for the settings given; the rest is read as the SDK reads it."""
    from wbgql.client import Client

    return Client(on_retry=tell_retry, **settings)


def tell_retry(error: Exception, _attempt: int, delay_s: float) -> None:
    """Say why nothing moves, where the wait is long enough to be noticed."""
    ctx = click.get_current_context(silent=True)
    app = ctx.find_object(App) if ctx is not None else None
    if app is not None and delay_s >= _NOTICED_WAIT_S:
        app.tell(f"{app.words_of(error)}; trying again in {delay_s:.0f} s")


def _is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _is_watched() -> bool:
    return sys.stderr.isatty()


@dataclass
class App:
    """What one invocation knows. Tests hand in another `make_client` and another terminal.

    `make_client` takes the settings that were given as options (`base_url`, `entity`, `project`,
    `timeout_s`). `is_interactive`: somebody can be asked, and can answer. `shows_bars`: somebody watches.
    """

    make_client: Callable[..., Client] = open_client
    is_interactive: Callable[[], bool] = _is_interactive
    shows_bars: Callable[[], bool] = _is_watched
    environ: Mapping[str, str] = field(default_factory=lambda: Unshown(os.environ))
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    settings: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False
    debug: bool = False
    names_nobody: bool = False
    """A case is open: what is printed may go to a log, so that it names no run."""

    def client(self) -> Client:
        """Return a client, closed when the command ends. Sends nothing.

        Raises:
            ConfigError: a setting is malformed.
        """
        try:
            client = self.make_client(**self.settings)
        except RedirectRefused as error:
            self.settings["base_url"] = self._confirmed(error)
            client = self.make_client(**self.settings)
        click.get_current_context().call_on_close(client.close)
        return client

    def _confirmed(self, error: RedirectRefused) -> str:
        """The address of the refused server, if the user types it or has typed it before."""
        from wbgql.cli.shared.confirmed import confirmations_path, is_confirmed, remember

        kept = confirmations_path(self.environ)
        if is_confirmed(kept, error):
            return error.base_url
        if not self.is_interactive():
            raise error
        note(str(error))
        answer = click.prompt(
            "type the address to send the key there", err=True, default="", show_default=False
        )
        if answer.strip() != error.base_url:
            raise error
        try:
            remember(kept, error)
        except OSError as problem:
            note(f"the answer could not be kept in {str(kept)!r} ({problem.strerror}); it counts once")
        else:
            note(f"the answer is kept in {str(kept)!r}; to revoke it, remove its entry or the file")
        return error.base_url

    def holds(self) -> HoldRegister:
        """Return the hold register that the environment names."""
        from wbgql.safety.holds import HoldRegister

        return HoldRegister.from_environ(self.environ)

    def words_of(self, error: Exception) -> str:
        """An error's message; of a case, the server's own words stand there only for somebody who watches."""
        if (
            self.names_nobody
            and isinstance(error, RequestError)
            and not (self.debug or self.is_interactive())
        ):
            return error.own_words
        return str(error)

    def tell(self, message: str) -> None:
        """Say on stderr how things stand, unless `--quiet`."""
        if not self.quiet:
            note(message)


def host_of(client: Client) -> str:
    """The host, with its port where the URL has one, that the client would reach."""
    return urlsplit(client.settings.base_url).netloc


def global_options(*, hidden: bool = True, paths: bool = True) -> Callable[[F], F]:
    """Add the options that every command takes, before its name and after it.

    They are written out in the help of `wbgql` only; the nearest to the end wins. Without `paths`, a command
    has no `--entity` and `--project`, the defaults of paths, because it gives them a meaning of its own.
    """
    options = [
        click.option("--base-url", metavar="URL", help="Server to ask.", **_setting(hidden)),
        click.option(
            "--entity",
            metavar="NAME",
            help="Default entity for paths that do not include one.",
            **_setting(hidden),
        ),
        click.option(
            "--project",
            metavar="NAME",
            help="Default project for paths that do not include one.",
            **_setting(hidden),
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=float,
            metavar="SECONDS",
            help="Wait this long.",
            **_setting(hidden),
        ),
    ]

    def add(command: F) -> F:
        command = switches(hidden=hidden)(command)
        for option in reversed(options if paths else [options[0], options[-1]]):
            command = option(command)
        return command

    return add


def switches(*, hidden: bool = True) -> Callable[[F], F]:
    """Add `--quiet` and `--debug`: all that `global_options` has for a command that asks no server."""

    def add(command: F) -> F:
        command = click.option(
            "--debug", is_flag=True, help="Show the traceback of an error.", **_switch(hidden)
        )(command)
        return click.option("--quiet", "-q", is_flag=True, help="No progress, no hints.", **_switch(hidden))(
            command
        )

    return add


def _setting(hidden: bool) -> dict[str, Any]:
    return {"expose_value": False, "hidden": hidden, "callback": _remember_setting}


def _switch(hidden: bool) -> dict[str, Any]:
    return {"expose_value": False, "hidden": hidden, "callback": _remember_switch}


def _remember_setting(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name:
        ctx.ensure_object(App).settings[param.name] = value


def _remember_switch(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and param.name:
        setattr(ctx.ensure_object(App), param.name, True)


def not_empty(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Refuse an empty argument: an unset shell variable must not mean "the default"."""
    values = value if isinstance(value, tuple) else (value,)
    if any(isinstance(item, str) and not item.strip() for item in values):
        raise click.BadParameter("it is empty (an unset variable?)", ctx=ctx, param=param)
    return value


def examples(*lines: str) -> str:
    """Make the epilog of a command's help: its examples, one on a line."""
    return "\n".join(("\b", "Examples:", *(f"  $ {line}" for line in lines)))
