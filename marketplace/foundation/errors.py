"""One family of errors a person may see. Each has a code for machines and a sentence, translated when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_babel import LazyString
    from psycopg import IntegrityError

NOT_FOUND = lazy("We could not find what you asked for.")
FORBIDDEN = lazy("Your account may not do this.")

_constraints: dict[str, tuple[type[Refused], str | LazyString]] = {}


class Refused(Exception):
    """The act is not possible now; doors show `message` and keep what the person typed. HTTP 409."""

    status: ClassVar[int] = 409
    code: str
    message: str | LazyString

    def __init__(self, code: str, message: str | LazyString) -> None:
        """`code` is stable, in snake_case; `message` a whole sentence a person can act on, usually from `lazy`."""
        super().__init__(code)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        """The code and the English or translated sentence, for logs and tests."""
        return f"{self.code}: {self.message}"


class NotFound(Refused):
    """Nothing under this id for this person; another tenant's things look the same. HTTP 404."""

    status = 404

    def __init__(
        self,
        code: str = "not_found",
        message: str | LazyString = NOT_FOUND,
    ) -> None:
        """Say what was not found, if saying so tells nothing about others."""
        super().__init__(code, message)


class Gone(NotFound):
    """What was here for everyone and is not any more; search engines forget it at once. HTTP 410."""

    status = 410


class Forbidden(Refused):
    """The person may see that this exists but not do this. HTTP 403."""

    status = 403

    def __init__(self, code: str = "forbidden", message: str | LazyString = FORBIDDEN) -> None:
        """Say who may do it, if there is someone to ask."""
        super().__init__(code, message)


class Invalid(Refused):
    """The input is wrong; `fields` maps field names to sentences. HTTP 422."""

    status = 422

    def __init__(
        self,
        code: str,
        message: str | LazyString,
        fields: Mapping[str, str | LazyString] | None = None,
    ) -> None:
        """Name each wrong field, so that a form can show the sentence beside it."""
        super().__init__(code, message)
        self.fields = dict(fields or {})


def constraint(name: str, message: str | LazyString, kind: type[Refused] = Refused) -> None:
    """Register what to say when the database refuses a row by the constraint `name`."""
    if name in _constraints:
        raise ValueError(f"constraint {name} already has a sentence")
    _constraints[name] = (kind, message)


def from_constraint(error: IntegrityError) -> Refused | None:
    """The refusal registered for the violated constraint, or None: then it is a fault of ours and stays one."""
    name = error.diag.constraint_name
    if name is None or name not in _constraints:
        return None
    kind, message = _constraints[name]
    return kind(name, message)
