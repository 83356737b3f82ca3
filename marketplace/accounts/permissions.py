"""Who may open which door: one table, filled by `@permission`, asked before every request, rendered in a test.

    public               anyone
    machine              anyone, but the door checks a signature by itself (webhooks)
    signed_in            any person with a confirmed account
    own                  signed in, and the door checks that the thing belongs to the person
    staff                any staff role;            staff:analyst|finance_officer   one of these
    member               any member;                member:owner|registrar          one of these roles somewhere
    provider             as member, in a university or industry partner: provider:editor

The table opens the door of a page; whether a thing behind it is this person's is asked with `require`, which answers
404 for what belongs to others. An endpoint that is not in the table is refused, and a test fails.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask_login import current_user

from marketplace.accounts.models import PROVIDER_KINDS, MemberRole, Person, Role
from marketplace.foundation.errors import Forbidden, NotFound, Refused
from marketplace.foundation.i18n import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

View = TypeVar("View", bound="Callable[..., Any]")
KINDS: dict[str, frozenset[str]] = {
    "public": frozenset(),
    "machine": frozenset(),
    "signed_in": frozenset(),
    "own": frozenset(),
    "staff": frozenset(Role),
    "member": frozenset(MemberRole),
    "provider": frozenset(MemberRole),
}
# Roles that act for an organisation; its learners are members whom it may not let see one another.
ACTING = frozenset(MemberRole) - {MemberRole.LEARNER}
OPEN_KINDS = frozenset({"public", "machine"})


class SignInNeeded(Refused):
    """Nobody is signed in; the door leads to the sign-in page and back. HTTP 401."""

    status = 401

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("sign_in_needed", lazy("Please sign in to go on."))


@dataclass(frozen=True, slots=True)
class Permission:
    """What a door demands: a kind, and the roles of which one is enough (all of the kind's when none is named)."""

    kind: str
    roles: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Permission:
        """Read "staff:analyst|reviewer"; raises ValueError for words that are not in the vocabulary."""
        kind, _, names = text.partition(":")
        roles = frozenset(names.split("|")) if names else frozenset()
        if kind not in KINDS or not roles <= KINDS[kind]:
            message = f"unknown permission {text!r}"
            raise ValueError(message)
        return cls(kind, roles)

    def __str__(self) -> str:
        """As written in the table."""
        return f"{self.kind}:{'|'.join(sorted(self.roles))}" if self.roles else self.kind


# The doors of the floor below, which cannot know this room, and Flask's own.
PERMISSIONS: dict[str, Permission] = {
    endpoint: Permission.parse("public")
    for endpoint in (
        "static",
        "foundation.healthz",
        "foundation.readyz",
        "foundation.language",
        "foundation.cover",
        "foundation.picture_file",
        "foundation.styleguide",
        "foundation.mails",
        "foundation.mail_preview",
    )
} | {"foundation.metrics": Permission.parse("machine")}


def permission(text: str) -> Callable[[View], View]:
    """Put a view in the table as `<room>.<function>`; use it directly above `def`, below the route."""
    demanded = Permission.parse(text)

    def decorate(view: View) -> View:
        endpoint = f"{view.__module__.split('.')[1]}.{view.__name__}"
        if endpoint in PERMISSIONS:
            message = f"{endpoint} is in the table of permissions already"
            raise ValueError(message)
        PERMISSIONS[endpoint] = demanded
        return view

    return decorate


def person() -> Person:
    """The person who is signed in; raises SignInNeeded."""
    found = current_person()
    if found is None:
        raise SignInNeeded
    return found


def current_person() -> Person | None:
    """The person who is signed in, or None."""
    # The row itself, not Flask-Login's proxy: whoever keeps it must not see another person later.
    someone = cast("Any", current_user)._get_current_object()  # noqa: SLF001 - how a proxy is opened
    return cast("Person", someone) if someone.is_authenticated else None


def check(endpoint: str) -> None:
    """Raise SignInNeeded or Forbidden unless the person signed in may open this door."""
    demanded = PERMISSIONS.get(endpoint)
    if demanded is None:
        raise Forbidden
    if demanded.kind not in OPEN_KINDS and not holds(person(), demanded):
        raise Forbidden


def may_open(endpoint: str) -> bool:
    """Whether to show a link to this door."""
    demanded = PERMISSIONS.get(endpoint)
    if demanded is None or demanded.kind in OPEN_KINDS:
        return demanded is not None
    someone = current_person()
    return someone is not None and holds(someone, demanded)


def holds(someone: Person, demanded: Permission) -> bool:
    """Whether the person meets the demand somewhere; `require` asks about one thing."""
    if demanded.kind in OPEN_KINDS or demanded.kind in {"signed_in", "own"}:
        return True
    if demanded.kind == "staff":
        return someone.is_staff if not demanded.roles else any(someone.has_role(role) for role in demanded.roles)
    kinds = PROVIDER_KINDS if demanded.kind == "provider" else None
    return any(
        (kinds is None or membership.organisation.kind in kinds)
        and membership.role in ({*demanded.roles, MemberRole.OWNER} if demanded.roles else ACTING)
        for membership in someone.memberships
    )


def require(*demands: str, owner_id: int | None = None, organisation_ids: Iterable[int] = ()) -> Person:
    """The person signed in, if the thing at hand is theirs; what belongs to others does not exist for them (NotFound).

    `require("own", owner_id=order.person_id)`; `require("provider:registrar", organisation_ids=course.provider_ids)`. A
    member of the organisation who lacks the role gets Forbidden. Of several demands one is enough, as in
    `require("staff", "provider:registrar", organisation_ids=…)`; the last one's refusal is what others get.
    """
    *others, last = demands
    for text in others:
        with suppress(NotFound, Forbidden):
            return _require(text, owner_id, organisation_ids)
    return _require(last, owner_id, organisation_ids)


def _require(text: str, owner_id: int | None, organisation_ids: Iterable[int]) -> Person:
    someone, demanded = person(), Permission.parse(text)
    if demanded.kind == "own" and someone.id != owner_id:
        raise NotFound
    if demanded.kind in {"member", "provider"}:
        held = someone.roles_in(organisation_ids)
        if not held:
            raise NotFound
        if not held & (demanded.roles or ACTING):
            raise Forbidden
    elif not holds(someone, demanded):
        raise Forbidden
    return someone
