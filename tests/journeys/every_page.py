"""Every page there is, with somebody of the demo who may open it: an endpoint, who goes there, and how the id is found.

Files, redirects and pages that live for one moment (a link of a mail) are named apart, each with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import text

from marketplace.foundation.database import db

# Found by SQL in the demo: the first id serves.
MINE = "organisation WHERE name_en LIKE 'Chengjiang%'"
LED = f"""course JOIN course_provider ON course_id = course.id AND position = 0
    JOIN (SELECT organisation.id FROM {MINE}) AS mine ON mine.id = organisation_id"""
OPEN_RUN = f"""SELECT course_run.public_id FROM course_run JOIN {LED} ON course_run.course_id = course.id
    WHERE course.state = 'published' AND course_run.state = 'scheduled' AND price_minor > 0
      AND enrol_opens_at < now() AND enrol_closes_at > now() AND seats_taken + seats_kept < capacity
    ORDER BY starts_at DESC"""
PAST_RUN = f"""SELECT course_run.public_id FROM course_run JOIN {LED} ON course_run.course_id = course.id
    WHERE course_run.state = 'scheduled' AND course_run.ends_at < now() ORDER BY starts_at DESC"""
LEARNER = "(SELECT id FROM person WHERE email = 'learner@demo.example')"
PLACE = f"""SELECT enrolment.public_id FROM enrolment JOIN course_run ON course_run.id = run_id
    WHERE person_id = {LEARNER} AND ended_at IS NULL ORDER BY starts_at DESC"""
SESSION = """SELECT run_session.public_id FROM run_session JOIN course_run ON course_run.id = run_id
    WHERE course_run.public_id = ({run} LIMIT 1)"""
RULED = "price_rule JOIN course_run ON course_run.id = run_id ORDER BY price_rule.id"
POOLED = "seat_pool JOIN course_run ON course_run.id = run_id ORDER BY seat_pool.id"
IDS = {
    "course": f"SELECT course.public_id FROM {LED} WHERE course.state = 'published' ORDER BY course.id DESC",
    "unwritten": f"SELECT course.public_id FROM {LED} WHERE course.state = 'draft' ORDER BY course.id DESC",
    "reviewed": "SELECT public_id FROM course WHERE state = 'in_review'",
    "provider": f"SELECT public_id FROM {MINE}",
    "employer": "SELECT organisation.public_id FROM organisation JOIN membership ON organisation_id = organisation.id"
    " JOIN person ON person.id = person_id WHERE person.email = 'employer@demo.example'",
    "wished": "SELECT course.public_id FROM course WHERE state = 'published' AND NOT EXISTS"
    " (SELECT FROM course_run WHERE course_id = course.id AND enrol_closes_at > now())",
    "run": OPEN_RUN,
    "past": PAST_RUN,
    "session": SESSION.format(run=PAST_RUN),
    "planned": SESSION.format(run=OPEN_RUN),
    "full": "SELECT public_id FROM course_run WHERE state = 'scheduled' AND enrol_closes_at > now()"
    " AND seats_taken + seats_kept >= capacity",
    "order": f"SELECT public_id FROM \"order\" WHERE person_id = {LEARNER} AND state = 'confirmed' ORDER BY id DESC",
    "sold": "SELECT public_id FROM \"order\" WHERE state = 'confirmed' ORDER BY id DESC",
    "place": PLACE,
    "programme": "SELECT public_id FROM funding_programme ORDER BY id",
    "batch": "SELECT public_id FROM claim_batch ORDER BY id DESC",
    "subsidy": "SELECT public_id FROM subsidy ORDER BY (state = 'clawed_back') DESC, id",
    "fapiao": "SELECT public_id FROM fapiao_request ORDER BY id",
    "vouchers": "SELECT public_id FROM voucher_batch ORDER BY size DESC",
    "code": "SELECT public_id FROM voucher ORDER BY id",
    "change": "SELECT public_id FROM run_change ORDER BY id",
    "pool": "SELECT seat_pool.public_id FROM seat_pool ORDER BY id",
    "pooled": f"SELECT course_run.public_id FROM {POOLED}",
    "priced": f"SELECT course_run.public_id FROM {RULED}",
    "rule": "SELECT public_id FROM price_rule ORDER BY id",
    "stray": "SELECT public_id FROM discrepancy WHERE kind = 'unknown_transfer' ORDER BY id",
    "terms": "SELECT 'terms'",
    "purpose": "SELECT 'order'",
}


@dataclass(frozen=True)
class Door:
    """A page: its endpoint, who opens it, and its arguments as names of IDS; `query` follows the address."""

    endpoint: str
    who: str
    ids: dict[str, str] = field(default_factory=dict)
    query: str = ""


def _doors(who: str, *pages: str) -> list[Door]:
    """`endpoint argument=name argument=name ?query`, one text a page."""
    made = []
    for page in pages:
        endpoint, *rest = page.split(" ")
        query = "".join(part for part in rest if part.startswith("?"))
        ids = dict(part.split("=") for part in rest if not part.startswith("?"))
        made.append(Door(endpoint, who, ids, query))
    return made


DOORS = [
    *_doors(
        "",
        "catalog.home",
        "catalog.courses",
        "catalog.courses ?q=muzeum",
        "catalog.courses ?q=nothing+of+that+kind&level=advanced",
        "catalog.course public_id=course",
        "catalog.provider public_id=provider",
        "funding.open_programmes",
        "funding.programme public_id=programme",
        "accounts.sign_in",
        "accounts.register",
        "accounts.forgot_password",
        "accounts.confirm_again",
        "accounts.mail_sent",
        "accounts.agreement document=terms",
        "foundation.styleguide",
        "foundation.mails",
    ),
    *_doors(
        "learner",
        "catalog.home",
        "catalog.course public_id=course",
        "enrolment.enrol public_id=run",
        "enrolment.enrol public_id=full",
        "enrolment.wish public_id=wished",
        "enrolment.search_wish ?q=looms",
        "enrolment.my_learning",
        "enrolment.order public_id=order",
        "payments.invoice public_id=order of=purpose",
        "participation.progress public_id=place",
        "enrolment.cancel_place public_id=place",
        "enrolment.move_place public_id=place",
        "enrolment.transfer_place public_id=place",
        "funding.my_funding",
        "accounts.profile",
        "accounts.guard",
        "accounts.sessions",
        "accounts.change_email",
        "accounts.change_password",
        "accounts.second_factor",
        "accounts.my_agreements",
        "accounts.my_mails",
        "privacy.my_data",
        "privacy.delete_account",
    ),
    *_doors(
        "editor",
        "catalog.desk_home",
        "catalog.desk public_id=provider",
        "catalog.desk_course public_id=unwritten",
        "catalog.cover public_id=course",
        "catalog.edit_course public_id=unwritten",
        "catalog.course_history public_id=unwritten",
        "catalog.partners public_id=reviewed",
        "catalog.preview_course public_id=reviewed",
        "catalog.new_run public_id=course",
        "catalog.skills public_id=course",
        "catalog.desk_run public_id=run",
        "catalog.copy_run public_id=run",
        "catalog.edit_run public_id=run",
        "catalog.new_session public_id=run",
        "catalog.weekly_sessions public_id=run",
        "catalog.edit_session public_id=planned",
        "catalog.new_course public_id=provider",
        "enrolment.demand",
    ),
    *_doors(
        "registrar",
        "participation.teaching",
        "participation.roster public_id=past",
        "participation.results public_id=past",
        "participation.register public_id=session",
        "participation.upload public_id=past",
        "enrolment.run_seats public_id=run",
        "enrolment.new_pool public_id=run",
        "enrolment.run_change public_id=run",
    ),
    *_doors(
        "employer",
        "accounts.members public_id=employer",
        "accounts.edit_organisation public_id=employer",
        "accounts.organisation_logo public_id=employer",
        "accounts.invite_many public_id=employer",
        "participation.sent_people public_id=employer",
    ),
    *_doors(
        "administrator",
        "enrolment.decisions",
        "enrolment.run_change_progress public_id=change",
        "enrolment.provider_terms public_id=provider",
        "enrolment.run_terms public_id=run",
        "enrolment.edit_pool public_id=pooled pool_id=pool",
        "catalog.prices public_id=priced",
        "catalog.new_price_rule public_id=priced",
        "catalog.edit_price_rule public_id=priced rule_id=rule",
        "catalog.reviews",
        "catalog.review_course public_id=reviewed",
        "catalog.imports",
        "catalog.staff_skills",
        "enrolment.staff_demand",
        "metrics.figures",
        "payments.desk",
        "payments.order_money public_id=sold",
        "payments.move_order public_id=sold",
        "payments.staff_queues",
        "payments.after_sale",
        "payments.staff_invoices",
        "payments.staff_fapiao public_id=fapiao",
        "payments.staff_payments",
        "payments.books",
        "payments.reconciliation_page",
        "payments.seller",
        "payments.staff_debts",
        "payments.staff_sponsors",
        "payments.bank_money",
        "payments.unmatched_money public_id=stray",
        "payments.revenue_terms_page",
        "funding.funding_desk",
        "funding.new_programme",
        "funding.staff_programme public_id=programme",
        "funding.edit_programme public_id=programme",
        "enrolment.draft_rule public_id=programme",
        "funding.applications public_id=programme",
        "funding.application public_id=subsidy",
        "funding.refusals public_id=programme",
        "funding.programme_claims public_id=programme",
        "funding.claim_batch public_id=batch",
        "metrics.funding_funnel public_id=programme",
        "enrolment.vouchers",
        "enrolment.new_vouchers",
        "enrolment.voucher_batch public_id=vouchers",
        "enrolment.voucher public_id=code",
        "privacy.erasures_desk",
        "accounts.staff_people",
        "accounts.staff_organisations",
    ),
]
# Files for other programs; and, below, links of mails and pages of a moment, which journeys of their own walk through.
FILES = {
    "enrolment.my_calendar", "catalog.run_calendar", "catalog.sitemap", "catalog.sitemap_file", "catalog.robots",
    "foundation.cover", "foundation.picture_file", "foundation.healthz", "foundation.readyz", "foundation.metrics",
    "privacy.data_copy", "payments.fapiao_file", "payments.invoice_pdf", "enrolment.run_change_csv",
    "participation.roster_csv", "payments.books_file", "payments.journal_file", "funding.claim_file",
    "funding.evidence_file", "metrics.figures_file", "catalog.import_report_csv", "foundation.mail_preview", "static",
}  # fmt: skip
MOMENTS = {
    "accounts.confirm": "a link of a mail, walked by test_accounts",
    "accounts.confirm_email": "a link of a mail",
    "accounts.invitation": "a link of a mail, walked by test_accounts",
    "accounts.reset_password": "a link of a mail, walked by test_accounts",
    "accounts.sign_in_code": "after a password, walked by test_accounts",
    "accounts.second_factor_off": "with a second factor, walked by test_accounts",
    "accounts.stop_mails": "a link of a mail",
    "privacy.confirm_deletion": "a link of a mail",
    "enrolment.transfer": "a link of a mail, walked by test_after_sale",
    "enrolment.answer_run_change": "of someone whose run moved, walked by test_after_sale",
    "enrolment.taken_course": "a redirect unless the course is withdrawn",
    "payments.returned": "a redirect from the payment page, walked by test_seat",
    "participation.uploaded": "after an upload, walked by test_participation",
    "catalog.import_report": "after an upload, walked by test_publishing",
    "catalog.import_columns": "after an upload, walked by test_publishing",
}


def path_of(app, door: Door) -> str:
    """The address of a page in the demo; an assertion says which row is missing."""
    values = {}
    for argument, name in door.ids.items():
        values[argument] = db.session.scalar(text(f"{IDS[name]} LIMIT 1"))
        assert values[argument], f"the demo has nothing for {name!r}, which {door.endpoint} needs"
    with app.test_request_context():
        return app.url_map.bind("localhost").build(door.endpoint, values) + door.query
