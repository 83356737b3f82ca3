"""Pages of funding: what everyone reads, what one has, and what the officer does."""

import io
import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from marketplace.foundation import bank_days, clock
from marketplace.foundation.database import db
from marketplace.foundation.i18n import speaking
from marketplace.funding import claims, programmes, subsidies, subsidy_lists, subsidy_names
from marketplace.funding.programme_models import FundingProgramme
from marketplace.funding.subsidy_models import ClaimBatch
from marketplace.funding.subsidy_rules import Rule
from marketplace.funding.subsidy_states import State
from tests.factories import make_person, make_staff, sign_in
from tests.funding.made import committed, funder_paid, make_programme, make_subsidy

SHANGHAI = Rule(percent=50, line_cap_minor=150000, regions=("310000",), industries=("R",), attendance_percent=80)
EVIDENCE = {"attendance_percent": 90, "completed_at": "2026-05-01T08:00:00+00:00"}
FIELDS = {
    "name_zh": "上海文创从业者资助", "name_en": "Shanghai practitioners", "funder_zh": "文旅局", "funder_en": "Bureau",
    "funder_id": "", "currency": "CNY", "zone": "Asia/Shanghai", "applications_from": "2026-01-01",
    "applications_until": "2026-12-31", "runs_from": "", "runs_until": "", "terms_zh": "条款", "terms_en": "Terms",
}  # fmt: skip


@pytest.fixture
def officer(client):
    person = make_staff("funding_officer", locale="en")
    sign_in(client, person)
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    return person


def page(client, address, status=200):
    answer = client.get(address)
    assert answer.status_code == status
    return answer.text


def test_everyone_reads_what_is_paid_for_whom(client):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    programme = make_programme(rule=SHANGHAI, name_en="Shanghai practitioners", terms_en="Bring your contract.")

    assert "Shanghai practitioners" in page(client, "/funding")
    told = page(client, f"/funding/{programme.public_id}")

    for sentence in (
        "50% of the price", "at most CN¥1,500.00 per seat", "You work in Shanghai", "section R", "at least 80% of the",
        "you owe the whole subsidy", "Bring your contract.", "Paid by Bureau.",
    ):  # fmt: skip
        assert sentence in told, sentence
    assert page(client, "/funding/000000000000", 404)


def test_what_a_programme_has_left_is_not_told(client):
    programme = make_programme(budget=12345600)

    assert "123,456" not in page(client, f"/funding/{programme.public_id}")


def test_one_sees_ones_own_subsidies_with_what_is_to_be_done(client):
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    programme, person = make_programme(rule=SHANGHAI), make_person(region="310000", industry_code="8850", locale="en")
    make_subsidy(programme, person)
    make_subsidy(programme, make_person(region="310000", industry_code="8850"))
    sign_in(client, person)

    told = page(client, "/my/funding")

    assert told.count("CN¥640.00</strong>") == 1
    assert "at least 80% of the" in told
    assert "you owe CN¥640.00" in told


def test_an_officer_makes_a_programme_and_gives_it_money(client, officer):
    answer = client.post("/staff/funding/new", data=FIELDS)
    programme = db.session.scalars(select(FundingProgramme)).one()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/staff/funding/{programme.public_id}")
    assert (programme.name_zh, programme.funder_id, programme.runs_from) == ("上海文创从业者资助", None, None)

    address = f"/staff/funding/{programme.public_id}/deposits"
    assert client.post(address, data={"amount": "500,000", "reference": "沪财 7"}).status_code == 303
    assert client.post(address, data={"amount": "1", "reference": "沪财 7"}).status_code == 409
    assert client.post(address, data={"amount": "much", "reference": "x"}).status_code == 422
    assert "500,000.00" in page(client, f"/staff/funding/{programme.public_id}")

    assert (
        client.post(f"/staff/funding/{programme.public_id}/edit", data=FIELDS | {"name_en": "New"}).status_code == 303
    )
    assert (programme.name_en, programme.currency) == ("New", "CNY")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name_zh": "", "name_en": ""},
        {"funder_zh": "", "funder_en": ""},
        {"applications_until": "2025-01-01"},
        {"applications_from": "soon"},
        {"currency": "XXX"},
        {"runs_from": "2026-02-01", "runs_until": "2026-01-01"},
    ],
)
def test_a_programme_without_sense_is_shown_again(client, officer, wrong):
    answer = client.post("/staff/funding/new", data=FIELDS | wrong)

    assert answer.status_code == 422
    assert db.session.scalars(select(FundingProgramme)).all() == []


def test_a_rule_is_drafted_and_published(client, officer):
    programme = make_programme(rule=Rule(percent=50))
    address = f"/staff/funding/{programme.public_id}"
    assert 'value="50"' in page(client, f"{address}/rule")
    filled = {
        "percent": "30", "industries": "R, 8850", "regions": ["310000"], "line_cap": "1,500",
        "attendance_percent": "80", "needs_completion": "y", "earn_within_days": "45", "claim_within_days": "60",
        "if_lapsed": "learner_owes",
        "if_rejected": "borne", "owed_percent": "50", "employer_sizes": ["micro", "small"],
    }  # fmt: skip

    assert client.post(f"{address}/rule", data=filled | {"industries": "XY"}).status_code == 422
    assert client.post(f"{address}/rule", data=filled | {"percent": "30", "fixed": "10"}).status_code == 422
    assert client.post(f"{address}/rule", data=filled).status_code == 303
    assert "Culture, sports and entertainment (section R), Museums" in page(client, f"{address}/rule")
    assert programmes.rule_in_force(programme.id).version == 1
    assert "Publish version 2" in page(client, address)
    read = re.search(r'name="shown" value="(\w+)"', page(client, address))[1]
    assert client.post(f"{address}/rule", data=filled | {"percent": "90"}).status_code == 303
    assert client.post(f"{address}/publish", data={"shown": read}).status_code == 303
    assert programmes.rule_in_force(programme.id).version == 1
    assert "changed the draft since you read it" in page(client, address)
    assert client.post(f"{address}/rule", data=filled).status_code == 303
    assert client.post(f"{address}/publish", data={"shown": read}).status_code == 303

    rule = programmes.rule_in_force(programme.id).rule
    assert rule == Rule(
        percent=30, industries=("R", "8850"), regions=("310000",), employer_sizes=("micro", "small"),
        line_cap_minor=150000, attendance_percent=80, earn_within_days=45, claim_within_days=60, owed_percent=50,
    )  # fmt: skip


def test_a_programme_is_closed_and_opened_again(client, officer):
    programme = make_programme()

    client.post(f"/staff/funding/{programme.public_id}/close")
    assert page(client, f"/funding/{programme.public_id}", 404)
    client.post(f"/staff/funding/{programme.public_id}/open")
    assert page(client, f"/funding/{programme.public_id}")


def test_applications_are_listed_and_looked_at(client, officer):
    programme = make_programme(rule=SHANGHAI)
    person = make_person(name="沈知夏", region="310000", industry_code="8850")
    subsidy = make_subsidy(programme, person)
    address = f"/staff/funding/{programme.public_id}/applications"

    assert "沈知夏" in page(client, f"{address}?state=reserved&words=知夏")
    assert "沈知夏" not in page(client, f"{address}?state=paid")
    told = page(client, f"/staff/subsidies/{subsidy.public_id}")
    for sentence in ("You work in Shanghai", "我同意", "Amount reserved in the budget", "Extend the deadline"):
        assert sentence in told, sentence


def test_a_list_needs_few_queries_however_long(app, client, officer):
    programme = make_programme(budget=100_000_000)
    for _ in range(subsidy_lists.PAGE):
        make_subsidy(programme)
    sent: list[str] = []
    db.session.expunge_all()
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, *_rest: sent.append(statement))

    page(client, f"/staff/funding/{programme.public_id}/applications")

    assert len([one for one in sent if "subsidy" in one]) <= 2, sent


def test_an_officer_approves_rejects_and_extends(client, officer):
    programme = make_programme(rule=Rule(percent=50, needs_review=True))
    one, two = make_subsidy(programme), make_subsidy(programme)

    assert client.post(f"/staff/subsidies/{one.public_id}/approve", data={"note": ""}).status_code == 303
    assert client.post(f"/staff/subsidies/{one.public_id}/approve", data={"note": ""}).status_code == 409
    assert client.post(f"/staff/subsidies/{two.public_id}/reject", data={"reason": ""}).status_code == 422
    assert client.post(f"/staff/subsidies/{two.public_id}/reject", data={"reason": "材料不全"}).status_code == 303
    last_day = (one.earn_by + timedelta(days=9)).date().isoformat()
    sent = {"last_day": last_day, "reason": "illness"}
    assert client.post(f"/staff/subsidies/{one.public_id}/extend", data=sent).status_code == 303

    assert (one.state, two.state) == (State.RESERVED, State.REJECTED)
    assert "illness" in page(client, f"/staff/subsidies/{one.public_id}")


def test_a_document_is_kept_and_given_back_as_it_came(client, officer):
    subsidy = make_subsidy(make_programme())
    sent = {"file": (io.BytesIO(b"%PDF-1.7 <script>"), "证明.pdf")}
    address = f"/staff/subsidies/{subsidy.public_id}/files"

    assert client.post(address, data=sent).status_code == 303
    assert client.post(address, data={"file": (io.BytesIO(b""), "empty.pdf")}).status_code == 422

    db.session.expunge_all()
    [file] = subsidy_lists.get(subsidy.public_id).files
    answer = client.get(f"/staff/subsidy-files/{file.public_id}")
    assert (answer.data, answer.mimetype) == (b"%PDF-1.7 <script>", "application/octet-stream")
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_refusals_are_shown_with_their_reasons(client, officer):
    programme = make_programme(rule=SHANGHAI)
    with pytest.raises(subsidies.SubsidyRefused) as caught:
        make_subsidy(programme, make_person(name="Li", region="110000", industry_code="8850"))
    subsidies.keep_refusal(caught.value, now=clock.now())

    told = page(client, f"/staff/funding/{programme.public_id}/refusals")
    assert "Conditions not met" in told
    assert "found: Beijing" in told


def test_earned_subsidies_are_claimed_saved_and_paid(client, officer):
    programme = make_programme()
    made = [subsidies.earn(make_subsidy(programme).id, EVIDENCE, now=clock.now()) for _ in range(3)]
    address = f"/staff/funding/{programme.public_id}/claims"
    assert page(client, address).count('type="checkbox"') == 3

    assert client.post(address, data={"subsidy": [one.public_id for one in made[:2]]}).status_code == 303
    assert client.post(address, data={}).status_code == 303
    batch = db.session.scalars(select(ClaimBatch)).one()
    address = f"/staff/claims/{batch.public_id}"
    assert "Attendance 90%" in page(client, address)
    assert client.get(f"{address}.csv").data.startswith(b"\xef\xbb\xbf")
    assert client.get(f"{address}.xlsx").data.startswith(b"PK")
    assert client.get(f"{address}.exe").status_code == 404

    assert client.post(f"{address}/reject", data={"subsidy": made[2].public_id, "reason": "no"}).status_code == 404
    assert client.post(f"{address}/reject", data={"subsidy": made[0].public_id, "reason": "重复"}).status_code == 303
    paid = {"amount": "640", "bank_reference": "ICBC 9", "received_on": bank_days.day_of(clock.now()).isoformat()}
    assert client.post(f"{address}/paid", data=paid | {"received_on": "x"}).status_code == 422
    other = client.post(f"{address}/paid?lang=en", data=paid | {"amount": "1280"})
    assert (other.status_code, "The lines still claimed come to 640.00." in other.text) == (422, True)
    assert client.post(f"{address}/paid", data=paid | {"bank_reference": ""}).status_code == 422
    assert client.post(f"{address}/paid", data=paid).status_code == 303

    assert [one.state for one in made] == [State.REJECTED, State.PAID, State.EARNED]
    assert committed(programme) == 3 * 64000
    assert claims.list_batches(programme)[0].lines == 2


def test_a_batch_of_less_than_was_chosen_says_so(client, officer):
    programme = make_programme()
    made = [subsidies.earn(make_subsidy(programme).id, EVIDENCE, now=clock.now()) for _ in range(3)]
    address = f"/staff/funding/{programme.public_id}/claims"
    # Another officer, or another tab, was first with two of them.
    first = client.post(address, data={"subsidy": [one.public_id for one in made[:2]]}, follow_redirects=True)
    second = client.post(address, data={"subsidy": [one.public_id for one in made]}, follow_redirects=True)

    assert "of the chosen subsidies" not in first.text
    assert "2 of the chosen subsidies are not in it" in second.text


def row_of(text, name):
    """The cells of the row with this name, as they are read."""
    rows = re.findall(r"<tr>.*?</tr>", text, re.DOTALL)
    [row] = [one for one in rows if re.search(rf'scope="row"[^>]*>(<a[^>]*>)?{name}<', one)]
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]


def test_an_officers_own_subsidy_is_not_theirs_to_choose(client, officer):
    programme = make_programme()
    own, other = (
        subsidies.earn(make_subsidy(programme, person).id, EVIDENCE, now=clock.now())
        for person in (officer, make_person())
    )
    told = page(client, f"/staff/funding/{programme.public_id}/claims")
    assert ("another funding officer claims it" in told, f"subsidy-{own.public_id}" in told) == (True, False)
    assert f"subsidy-{other.public_id}" in told


def test_an_officer_decides_about_what_they_saw(client, officer):
    subsidy = make_subsidy(make_programme(rule=Rule(percent=50, needs_review=True)))
    address = f"/staff/subsidies/{subsidy.public_id}"
    assert page(client, address).count('name="seen" value="applied"') == 3
    subsidies.approve(subsidy.id, note="", actor_id=make_staff("funding_officer").id, now=clock.now())

    seen = {"reason": "incomplete", "seen": "applied"}
    answer = client.post(f"{address}/reject", data=seen, follow_redirects=True)
    assert ("moved on since you opened the page" in answer.text, subsidy.state) == (True, State.RESERVED)
    client.post(f"{address}/reject", data=seen | {"seen": "reserved"})
    assert subsidy.state == State.REJECTED


def test_claims_and_budget_say_the_same_of_what_was_paid(client, officer):
    programme = make_programme()
    made = [subsidies.earn(make_subsidy(programme).id, EVIDENCE, now=clock.now()) for _ in range(2)]
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    subsidies.reject(made[0].id, reason="重复", actor_id=officer.id, now=clock.now())
    claims.mark_paid(batch.id, funder_paid(64000, "ICBC 9"), actor_id=officer.id, now=clock.now())

    budget = row_of(page(client, f"/staff/funding/{programme.public_id}"), "Paid by the funder")
    claimed = row_of(page(client, f"/staff/funding/{programme.public_id}/claims"), "All together")

    assert "CN¥640.00" in budget
    assert claimed == [
        "All together", "", "", "", "2", "CN¥1,280.00", "CN¥0.00", "CN¥640.00", "CN¥640.00", "CN¥0.00",
    ]  # fmt: skip


def test_an_unpaid_batch_is_marked_and_given_more_time(client, officer):
    programme = make_programme()
    subsidies.earn(make_subsidy(programme).id, EVIDENCE, now=clock.now())
    made = clock.now() - timedelta(days=40)
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=made)
    claimed, address = f"/staff/funding/{programme.public_id}/claims", f"/staff/claims/{batch.public_id}"
    assert "within 30 days" in page(client, claimed)
    assert "Overdue" in row_of(page(client, claimed), "Batch 1")[2]
    assert "Overdue" in page(client, address)

    assert client.post(f"{address}/later", data={"last_day": "2020-01-01", "reason": "x"}).status_code == 422
    later = (clock.now() + timedelta(days=9)).date().isoformat()
    assert client.post(f"{address}/later", data={"last_day": later, "reason": "They asked"}).status_code == 303

    assert "Overdue" not in page(client, claimed)
    assert "Overdue" not in page(client, address)


def test_an_officer_notes_what_the_funder_takes_back_and_what_was_sent(client, officer):
    programme = make_programme()
    subsidy = subsidies.earn(make_subsidy(programme).id, EVIDENCE, now=clock.now())
    batch = claims.make_batch(programme.id, None, actor_id=officer.id, now=clock.now())
    claims.mark_paid(batch.id, funder_paid(64000, "ICBC 9"), actor_id=officer.id, now=clock.now())
    address = f"/staff/subsidies/{subsidy.public_id}"
    assert "the learner owes nothing; the marketplace bears it" in page(client, address)

    assert client.post(f"{address}/send-back", data={}).status_code == 422
    assert client.post(f"{address}/claw-back", data={"reason": ""}).status_code == 422
    assert client.post(f"{address}/claw-back", data={"reason": "Audit"}).status_code == 303
    owed = page(client, f"/staff/funding/{programme.public_id}/claims")
    assert "Taken back by the funder, not sent yet" in owed
    assert "CN¥640.00 is owed back to Bureau" in page(client, address)
    sent = {
        "sent_on": bank_days.day_of(clock.now()).isoformat(),
        "bank_reference": "ICBC 10",
        "reason": "Audit",
    }
    assert client.post(f"{address}/send-back", data=sent).status_code == 303
    assert client.post(f"{address}/send-back", data=sent).status_code == 409

    assert "ICBC 10" in page(client, address)
    assert "not sent yet" not in page(client, f"/staff/funding/{programme.public_id}/claims")


def test_the_funnel_of_a_programme_is_a_page(client, officer):
    programme = make_programme()
    make_subsidy(programme)

    assert "Seats at each step" in page(client, f"/staff/funding/{programme.public_id}/funnel")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("R", "文化、体育和娱乐业（R 门类）"),
        ("8850", "博物馆"),
        ("885", "博物馆"),
        ("88", "文化艺术业"),
        ("883", "图书馆、档案馆"),
        ("00", "00"),
    ],
)
def test_the_beginning_of_a_sector_has_words(app, code, name):
    with app.test_request_context(), speaking("zh"):
        assert subsidy_names.name_of_value("industry", code) == name
