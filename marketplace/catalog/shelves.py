"""Names that every page of the catalogue shows and that hardly ever change: categories and skills, kept a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from marketplace.catalog.models import Category, Skill
from marketplace.foundation.database import db
from marketplace.foundation.keeping import kept

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_SECONDS = 60


class Shelf(NamedTuple):
    """A category."""

    id: int
    code: str
    name_zh: str
    name_en: str
    position: int


class SkillName(NamedTuple):
    """A skill's names; the Chinese one may be missing."""

    id: int
    label_zh: str
    label_en: str


@kept(KEPT_SECONDS)
def list_shelves() -> tuple[Shelf, ...]:
    """All categories in their order."""
    query = select(Category.id, Category.code, Category.name_zh, Category.name_en, Category.position)
    return tuple(Shelf(*row) for row in db.session.execute(query.order_by(Category.position, Category.id)))


@kept(KEPT_SECONDS)
def _by_id() -> dict[int, Shelf]:
    return {shelf.id: shelf for shelf in list_shelves()}


def find_shelf(category_id: int | None) -> Shelf | None:
    """The category with this id."""
    return None if category_id is None else _by_id().get(category_id)


def skill_names(skill_ids: Iterable[int]) -> dict[int, SkillName]:
    """The names of these skills."""
    return _skill_names(tuple(sorted(skill_ids)))


@kept(KEPT_SECONDS)
def _skill_names(skill_ids: tuple[int, ...]) -> dict[int, SkillName]:
    if not skill_ids:
        return {}
    query = select(Skill.id, Skill.label_zh, Skill.label_en).where(Skill.id.in_(skill_ids))
    return {skill_id: SkillName(skill_id, zh or "", en) for skill_id, zh, en in db.session.execute(query)}
