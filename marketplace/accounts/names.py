"""What roles, kinds and experience bands are called."""

from __future__ import annotations

from marketplace.accounts.models import MemberRole, OrganisationKind, Role
from marketplace.foundation.i18n import lazy

STAFF_ROLES = {
    Role.REVIEWER: lazy("Reviewer"),
    Role.FUNDING_OFFICER: lazy("Funding officer"),
    Role.FINANCE_OFFICER: lazy("Finance officer"),
    Role.ANALYST: lazy("Analyst"),
    Role.ADMINISTRATOR: lazy("Administrator"),
}
STAFF_DUTIES = {
    Role.REVIEWER: lazy("Reviews courses and skills before they are published."),
    Role.FUNDING_OFFICER: lazy("Runs funding programmes and decides on subsidies."),
    Role.FINANCE_OFFICER: lazy("Looks after payments, refunds and the ledger."),
    Role.ANALYST: lazy("Reads and exports the training figures."),
    Role.ADMINISTRATOR: lazy("Appoints staff, opens organisations, and may do all of the above."),
}
MEMBER_ROLES = {
    MemberRole.OWNER: lazy("Owner"),
    MemberRole.EDITOR: lazy("Editor"),
    MemberRole.REGISTRAR: lazy("Registrar"),
    MemberRole.INSTRUCTOR: lazy("Instructor"),
    MemberRole.FINANCE: lazy("Finance"),
    MemberRole.LEARNER: lazy("Learner sent by it"),
}
MEMBER_DUTIES = {
    MemberRole.OWNER: lazy("Invites members and may do everything for the organisation."),
    MemberRole.EDITOR: lazy("Writes courses and runs and publishes them."),
    MemberRole.REGISTRAR: lazy("Keeps the roster, attendance and completion."),
    MemberRole.INSTRUCTOR: lazy("Teaches, and marks attendance."),
    MemberRole.FINANCE: lazy("Reads payments and settlements."),
    MemberRole.LEARNER: lazy("Takes courses for it; sees nothing of others, and decides what it sees of them."),
}
ORGANISATION_KINDS = {
    OrganisationKind.UNIVERSITY: lazy("University"),
    OrganisationKind.INDUSTRY_PARTNER: lazy("Industry partner"),
    OrganisationKind.EMPLOYER: lazy("Employer or sponsor"),
}
EXPERIENCE_BANDS = {
    "0-1": lazy("Less than two years"),
    "2-4": lazy("Two to four years"),
    "5-9": lazy("Five to nine years"),
    "10+": lazy("Ten years or more"),
}
# By the number of people employed, as the National Bureau of Statistics divides services (2017).
EMPLOYER_SIZES = {
    "micro": lazy("Fewer than 10 people"),
    "small": lazy("10 to 99 people"),
    "medium": lazy("100 to 299 people"),
    "large": lazy("300 people or more"),
}
EVENT_KINDS = {
    "confirmed": lazy("E-mail address confirmed"),
    "password_reset": lazy("Password set with a mailed link"),
    "password_changed": lazy("Password changed"),
    "email_change_asked": lazy("Change of e-mail address asked for"),
    "email_changed": lazy("E-mail address changed"),
    "profile_changed": lazy("Profile changed"),
    "second_factor_on": lazy("Second factor switched on"),
    "second_factor_off": lazy("Second factor switched off"),
    "recovery_code_used": lazy("Signed in with a recovery code"),
    "appointed": lazy("Appointed to a staff role"),
    "dismissed": lazy("Dismissed from a staff role"),
}
CONSENT_ACTS = {
    "registration": lazy("when you created the account"),
    "purchase": lazy("with order"),
    "account_page": lazy("on your account page"),
    "subsidy": lazy("when you asked for a subsidy"),
}
