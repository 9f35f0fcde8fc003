"""Where fields begin: `run`, `summary` and `config`. No I/O."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final, Literal, NoReturn, overload

from wbgql.expressions.fields import (
    ClientField,
    DateField,
    Field,
    Guarded,
    JsonField,
    NumberField,
    TagsField,
    TextField,
    UnknownFieldError,
)
from wbgql.expressions.nodes import RUN_KEYS, FieldPath, Section
from wbgql.expressions.operands import check_key


class _Root(Guarded):
    """Holds fields, but is none."""

    __slots__ = ()

    def _compared(self, other: object) -> NoReturn:
        raise self._refusal(f"cannot be compared with {other!r}", "name one of its values, as in run.state")

    __lt__ = __le__ = __gt__ = __ge__ = _compared


class JsonSection(_Root):
    """`summary`, `config` or `step` (rows of a history): `summary["val/acc"]` is one of its values."""

    __slots__ = ("section",)

    def __init__(self, section: Section) -> None:
        self.section: Final = section

    def __getitem__(self, key: str) -> JsonField:
        return JsonField(FieldPath(self.section, (check_key(self.section, key),)))

    @overload
    def __call__(self, key: str, *, client_side: Literal[True]) -> ClientField: ...
    @overload
    def __call__(self, key: str, *, client_side: bool = False) -> JsonField: ...
    def __call__(self, key: str, *, client_side: bool = False) -> JsonField:
        """Return the value at `key`; with `client_side`, one that is compared here where the server cannot.

        That is for keys with a dot (`config("a.b", client_side=True) == 1`) and for lists
        (`== [1, 2]`, `.has(1)`). It costs reading every run that matches the rest of the filter,
        and the selection must be made with `client_side=True` too.
        """
        field = self[key]
        return ClientField(field.path) if client_side else field

    if not TYPE_CHECKING:  # so that type checkers find a misspelt name themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            raise UnknownFieldError(f'{self.section}.{name}: write {self.section}["{name}"]')

    def __str__(self) -> str:
        return self.section

    def __repr__(self) -> str:
        return f"<{self.section}>"


class RunAttributes(_Root):
    """The attributes of a run: `run.state`, `run.created_at`."""

    __slots__ = ()

    @property
    def id(self) -> TextField:
        """The id in the run's URL; the server calls it `name`."""
        return _text("id")

    @property
    def display_name(self) -> TextField:
        """The name shown in the workspace."""
        return _text("display_name")

    @property
    def state(self) -> TextField:
        """running, finished, crashed, failed, killed, pending, preempting or preempted."""
        return _text("state")

    @property
    def tags(self) -> TagsField:
        """The run's tags."""
        return TagsField(FieldPath("run", ("tags",)))

    @property
    def created_at(self) -> DateField:
        """When the run began."""
        return _date("created_at")

    @property
    def heartbeat_at(self) -> DateField:
        """When the run was last heard of."""
        return _date("heartbeat_at")

    @property
    def updated_at(self) -> DateField:
        """When the run was last changed; whether every server filters by it is not documented."""
        return _date("updated_at")

    @property
    def group(self) -> TextField:
        """The run group."""
        return _text("group")

    @property
    def job_type(self) -> TextField:
        """The job type."""
        return _text("job_type")

    @property
    def user(self) -> TextField:
        """The login name of the run's author."""
        return _text("user")

    @property
    def sweep(self) -> TextField:
        """The id of the run's sweep."""
        return _text("sweep")

    @property
    def host(self) -> TextField:
        """The host that logged the run."""
        return _text("host")

    @property
    def notes(self) -> TextField:
        """The notes. Only the client compares them: give `client_side=True` to the selection."""
        return _text("notes")

    @property
    def duration_s(self) -> NumberField:
        """Seconds the run took."""
        return NumberField(FieldPath("run", ("duration_s",)))

    if not TYPE_CHECKING:  # so that type checkers find a misspelt name themselves

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):
                raise AttributeError(name)
            raise UnknownFieldError(f"run.{name}: {_advice(name)}")

    def __str__(self) -> str:
        return "run"

    def __repr__(self) -> str:
        return "<run>"


summary: Final = JsonSection("summary")
config: Final = JsonSection("config")
step: Final = JsonSection("step")
run: Final = RunAttributes()


def run_field(name: str) -> Field:
    """Return the attribute `name` of a run.

    Raises:
        FilterError: no such attribute; the message names the nearest.
    """
    if name not in RUN_KEYS:
        raise UnknownFieldError(f"{name}: {_advice(name)}")
    found: Field = getattr(run, name)
    return found


def _advice(name: str) -> str:
    if name == "name":
        return "write run.id for the id in the URL, or run.display_name for the name on screen"
    camel = {key: python for python, key in RUN_KEYS.items()}
    if name in camel:
        return f"write {camel[name]}"
    near = difflib.get_close_matches(name, RUN_KEYS, n=3)
    section = difflib.get_close_matches(name, ("summary", "config"), n=1)
    if section and not near:
        return f'no such run attribute, did you mean {section[0]}["key"]'
    hint = f"did you mean {' or '.join(near)}" if near else f"runs have {', '.join(RUN_KEYS)}"
    return f'no such run attribute, {hint}; a metric is summary["{name}"], a setting config["{name}"]'


def _text(name: str) -> TextField:
    return TextField(FieldPath("run", (name,)))


def _date(name: str) -> DateField:
    return DateField(FieldPath("run", (name,)))
