"""The staff's doors to vouchers: issued with limits, bound by names, downloaded, ended."""

from __future__ import annotations

import csv
import io

import pytest

from marketplace.foundation import clock
from marketplace.foundation.database import db
from marketplace.foundation.money import Money
from marketplace.funding import voucher_batches, vouchers
from marketplace.funding.voucher_batches import NewBatch
from marketplace.funding.voucher_models import VoucherBatch
from marketplace.funding.voucher_rules import Terms, ValueKind
from tests.enrolment.test_prices import AMOUNT, buy
from tests.factories import make_course, make_organisation, make_person, make_run, make_staff, sign_in


@pytest.fixture
def officer(client):
    someone = make_staff("funding_officer")
    sign_in(client, someone)
    return someone


def filled(**values):
    return {
        "name": "春季活动",
        "size": "3",
        "value_kind": "amount",
        "currency": "CNY",
        "amount": "200",
        "use_cap": "1",
        "person_cap": "1",
    } | values


def issued(terms=AMOUNT, **values):
    return voucher_batches.issue(NewBatch("=春季", terms, **values), actor_id=None, now=clock.now())


def test_a_batch_is_issued_and_its_money_cap_follows_from_its_uses(client, officer):
    sponsor, provider = make_organisation(kind="employer"), make_organisation()
    course, person = make_course(provider), make_person(email="li@film.example")
    run = make_run(course)

    answer = client.post(
        "/staff/vouchers/new?lang=en",
        data=filled(
            sponsor=sponsor.public_id,
            provider=provider.public_id,
            courses=f"https://example.com/courses/{course.public_id}?lang=zh",
            runs=run.public_id,
            people="LI@film.example",
            domains="@film.example\nmuseum.example",
        ),
    )
    batch = db.session.query(VoucherBatch).one()
    assert answer.location == f"/staff/vouchers/{batch.public_id}"
    assert (batch.size, batch.money_cap_minor, batch.sponsor_id) == (3, 20000, sponsor.id)
    assert (batch.run_ids, batch.course_ids, batch.provider_ids, batch.person_ids, batch.email_domains) == (
        [run.id],
        [course.id],
        [provider.id],
        [person.id],
        ["film.example", "museum.example"],
    )
    page = client.get(f"{answer.location}?lang=en").text
    for text in (course.title_en, "li@film.example", "@museum.example", "CN¥600.00", sponsor.name_en):
        assert text in page


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"amount": "12.345"}, "Enter an amount in CNY, like 980.00."),
        ({"amount": ""}, "Enter the amount it pays."),
        ({"use_cap": ""}, "Enter a limit, or type the sentence below"),
        ({"value_kind": "full"}, "Enter a limit, or type the sentence below"),
        ({"runs": "nowhere00000"}, "We do not know nowhere00000."),
        ({"people": "nobody@example.com"}, "We do not know nobody@example.com."),
        ({"domains": "not a domain"}, "This is no mail domain: not a domain."),
        ({"word": "SPRING"}, "A word of your own is one code."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(client, officer, values, sentence):
    answer = client.post("/staff/vouchers/new?lang=en", data=filled(**values))

    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'value="春季活动"' in answer.text
    assert db.session.query(VoucherBatch).count() == 0


def test_no_limit_has_to_be_asked_for_in_words_that_are_kept(client, officer):
    data = filled(value_kind="full", use_cap="", uncapped_words="我确认此券不设上限")

    location = client.post("/staff/vouchers/new", data=data).location
    assert "我确认此券不设上限" in client.get(location).text
    assert db.session.query(VoucherBatch).one().money_cap_minor is None


def test_the_codes_come_as_a_sheet_that_excel_reads_and_that_is_on_record(client, officer):
    batch = issued(size=2)

    answer = client.post(f"/staff/vouchers/{batch.public_id}/codes.csv?lang=en")
    assert answer.data.startswith("\ufeff".encode())
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[0] == ["No.", "Voucher code", "Uses", "Uses at most", "Last day", "State"]
    assert [vouchers.find_by_code(row[1]).number for row in rows[1:]] == [1, 2]
    assert [event.kind for event in voucher_batches.list_events(batch.id)] == ["issued", "downloaded"]


def test_a_code_of_the_programmes_choice_is_no_formula(client, officer):
    batch = issued(word="=SUM(A1:A9)")

    rows = client.post(f"/staff/vouchers/{batch.public_id}/codes.csv").data.decode("utf-8-sig").splitlines()
    assert rows[1].split(",")[1] == "'=SUM(A1:A9)"


def test_a_code_shows_who_used_it_and_ends_with_a_reason(client, officer):
    batch, person, run = issued(), make_person(), make_run()
    [voucher] = voucher_batches.list_vouchers(batch.id)
    code = voucher_batches.code_of(voucher)
    order = buy(run, person, price=128000, due=108000, voucher_code=code)

    found = client.post("/staff/vouchers/find", data={"code": code.lower()}).location
    assert found == f"/staff/vouchers/codes/{voucher.public_id}"
    page = client.get(f"{found}?lang=en").text
    for text in (person.name, order.public_id, "CN¥200.00", "CN¥800.00"):
        assert text in page
    assert code not in page

    assert client.post(found, data={"reason": ""}).status_code == 422
    assert client.post(found, data={"reason": "lost in the post"}).status_code == 303
    assert "lost in the post" in client.get(found).text
    assert client.post("/staff/vouchers/find", data={"code": "nothing"}).location == "/staff/vouchers"


def test_all_codes_of_a_batch_end_at_once(client, officer):
    batch = issued(size=3)

    assert client.post(f"/staff/vouchers/{batch.public_id}?lang=en", data={"reason": "over"}).status_code == 303
    assert voucher_batches.standing_of(batch).open_codes == 0
    assert "3 codes have ended." in client.get(f"/staff/vouchers/{batch.public_id}?lang=en").text


def test_batches_are_listed_page_by_page(client, officer):
    for _ in range(voucher_batches.PAGE + 1):
        issued(Terms(ValueKind.PERCENT, "CNY", percent=10, use_cap=1, money_cap=100))

    page = client.get("/staff/vouchers?lang=en").text
    assert page.count("10% of what is left to pay") == voucher_batches.PAGE
    oldest = voucher_batches.list_batches(limit=voucher_batches.PAGE)[-1].batch.id
    older = client.get(f"/staff/vouchers?lang=en&before={oldest}").text
    assert older.count("10% of what is left to pay") == 1


@pytest.mark.parametrize("role", ["reviewer", "analyst"])
def test_other_staff_do_not_see_vouchers(client, role):
    batch = issued()
    sign_in(client, make_staff(role))

    for path in ("", "/new", f"/{batch.public_id}", f"/codes/{voucher_batches.list_vouchers(batch.id)[0].public_id}"):
        assert client.get(f"/staff/vouchers{path}").status_code == 403
    assert client.post(f"/staff/vouchers/{batch.public_id}/codes.csv").status_code == 403
    assert voucher_batches.standing_of(batch).spent == Money(0, "CNY")
