"""The door to the draft of a funding rule, which names things of the catalogue: the funding room does not know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for
from sqlalchemy import select

from marketplace.accounts.models import PROVIDER_KINDS
from marketplace.accounts.permissions import permission, person
from marketplace.catalog import offer
from marketplace.catalog.models import CourseSkill, Skill
from marketplace.enrolment.blueprint import blueprint
from marketplace.enrolment.rule_forms import RuleForm
from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.filling import attempt
from marketplace.foundation.i18n import gettext as _
from marketplace.funding import programmes
from marketplace.funding.subsidy_rules import Named, Rule

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

MOST_SKILLS = 300


@blueprint.route("/staff/funding/<public_id>/rule", methods=["GET", "POST"])
@permission("staff:funding_officer")
def draft_rule(public_id: str) -> ResponseReturnValue:
    """Write the draft of the next version, beginning from the draft there is, or from the version in force."""
    programme = programmes.get(public_id)
    begun = programmes.find_draft(programme.id) or programmes.rule_in_force(programme.id)
    form = RuleForm(begun.rule if begun else Rule(percent=50), programme.currency, _choices())
    done = attempt(
        form, lambda: programmes.write_draft(programme.id, form.rule(), actor_id=person().id, now=clock.now())
    )
    if done.is_done:
        flash(_("The draft is saved. It decides nothing until it is published."), "success")
        return redirect(url_for("funding.staff_programme", public_id=public_id), 303)
    return render_template("enrolment/draft_rule.html", programme=programme, form=form), done.status


def _choices() -> dict[str, list[Named]]:
    """What a rule can name: categories, the skills that courses teach, organisations and those that provide courses."""
    taught = select(Skill).where(Skill.id.in_(select(CourseSkill.skill_id))).order_by(Skill.label_en).limit(MOST_SKILLS)
    organisations = programmes.list_funders()
    everyone = [Named(one.id, one.name_zh, one.name_en) for one in organisations]
    provide = {one.id for one in organisations if one.kind in PROVIDER_KINDS}
    return {
        "categories": [Named(one.id, one.name_zh, one.name_en) for one in offer.list_categories()],
        "skills": [Named(one.id, one.label_zh or "", one.label_en) for one in db.session.scalars(taught)],
        "organisations": everyone,
        "providers": [one for one in everyone if one.id in provide],
    }
