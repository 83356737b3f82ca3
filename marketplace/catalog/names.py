"""What states, translations and events of courses are called, in the reader's language."""

from __future__ import annotations

from typing import Any

from marketplace.foundation.i18n import gettext as _


def course_states() -> dict[str, str]:
    """Where a course stands."""
    return {
        "draft": _("Draft"),
        "in_review": _("In review"),
        "published": _("Published"),
        "withdrawn": _("Withdrawn"),
    }


def run_states() -> dict[str, str]:
    """Where a run stands."""
    return {"draft": _("Draft"), "scheduled": _("Scheduled"), "cancelled": _("Cancelled")}


def text_states() -> dict[str, str]:
    """Where one text in one language stands."""
    return {
        "original": _("Original"),
        "translated": _("Translated"),
        "machine": _("Machine translation"),
        "stale": _("Out of date"),
        "missing": _("Missing"),
    }


def skill_states() -> dict[str, str]:
    """Where the alignment of a course to a skill stands."""
    return {
        "proposed": _("Waiting for a reviewer"),
        "reviewed": _("Confirmed"),
        "rejected": _("Rejected"),
        "own_words": _("Plain words"),
    }


def event_kinds() -> dict[str, str]:
    """What happened to a course."""
    return {
        "created": _("Course begun"),
        "changed": _("Texts changed"),
        "submitted": _("Sent to review"),
        "recalled": _("Taken back from review"),
        "returned": _("Returned by the reviewer"),
        "approved": _("Approved and published"),
        "withdrawn": _("Withdrawn from the catalogue"),
        "changes_read": _("Changes read by a reviewer"),
        "partner_invited": _("Partner asked"),
        "partner_accepted": _("Partner accepted"),
        "partner_declined": _("Partner declined"),
        "partner_withdrawn": _("Question to a partner taken back"),
        "partner_left": _("Partner left"),
        "cover_changed": _("Cover changed"),
        "cover_removed": _("Cover removed"),
        "skill_proposed": _("Skill proposed"),
        "skill_withdrawn": _("Skill removed"),
        "skill_accepted": _("Skill confirmed"),
        "skill_rejected": _("Skill rejected"),
        "skill_mapped": _("Words mapped to a skill"),
        "run_created": _("Run begun"),
        "run_changed": _("Run changed"),
        "run_scheduled": _("Run scheduled"),
        "capacity_changed": _("Number of seats changed"),
        "sessions_added": _("Sessions added"),
        "session_changed": _("Session changed"),
        "session_removed": _("Session removed"),
        "pool_created": _("Seats kept"),
        "pool_changed": _("Kept seats changed"),
        "pool_released": _("Kept seats given to everyone"),
        "waiting_rule": _("Rule of the waiting list changed"),
    }


def changed_columns() -> dict[str, str]:
    """What a history calls the columns that were changed."""
    zh, en = _("Chinese"), _("English")
    texts = {
        "title": _("Title"),
        "summary": _("Summary"),
        "description": _("Description"),
        "outcomes": _("What people will be able to do"),
        "syllabus": _("Syllabus"),
    }
    return {
        **{f"{name}_zh": f"{said} ({zh})" for name, said in texts.items()},
        **{f"{name}_en": f"{said} ({en})" for name, said in texts.items()},
        "category_id": _("Field"),
        "level": _("Level"),
        "original_language": _("Language written first"),
        "translation_state": _("State of the translations"),
        **_run_columns(zh, en),
    }


def _run_columns(zh: str, en: str) -> dict[str, str]:
    return {
        "starts_at": _("Starts"),
        "ends_at": _("Ends"),
        "zone": _("Time zone"),
        "enrol_opens_at": _("Enrolment opens"),
        "enrol_closes_at": _("Enrolment closes"),
        "mode": _("Where"),
        "place_zh": f"{_('Place')} ({zh})",
        "place_en": f"{_('Place')} ({en})",
        "language": _("Language of teaching"),
        "capacity": _("Seats"),
        "price_minor": _("Price in minor units"),
        "currency": _("Currency"),
        "completion_attendance_percent": _("Share of sessions to attend, in per cent"),
        "completion_needs_pass": _("An assessment has to be passed"),
        "session": _("Session"),
        "seats_kept": _("Seats kept"),
        "pool_kind": _("Why seats are kept"),
        "pool_audience": _("Kept for"),
        "pool_organisation": _("Organisation"),
        "email_domain": _("Domain"),
        "pool_code": _("Code"),
        "pool_release_at": _("Kept until"),
        "waiting_first": _("Who is offered a seat first"),
        "offer_hours": _("Hours an offer stands"),
    }


def changed_values() -> dict[str, dict[str, str]]:
    """What a history calls the values of a column that are words of ours."""
    return {
        "pool_kind": {
            "sponsor": _("A sponsor pays for them"),
            "co_provider": _("A co-provider's own students"),
            "campaign": _("A campaign promised them"),
        },
        "pool_audience": {
            "organisation": _("People of an organisation"),
            "email_domain": _("People with an e-mail address of a domain"),
            "code": _("Whoever has a code"),
            "voucher": _("Holders of a voucher code"),
        },
        "waiting_first": {
            "time": _("Whoever joined first"),
            "pool_audience": _("People of the run's seat pools, then whoever joined first"),
        },
    }


def history_words() -> dict[str, dict[str, Any]]:
    """What the list of events needs."""
    return {"kinds": event_kinds(), "columns": changed_columns(), "values": changed_values()}
