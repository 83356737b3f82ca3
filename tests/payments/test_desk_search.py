"""Who and what the one box finds beside an order's own numbers: takers, people without orders, papers, payouts."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace.enrolment import places, transfers
from marketplace.foundation import clock
from marketplace.foundation.database import add, db, transaction
from marketplace.payments import desk_search, fapiao, invoices
from marketplace.payments.fapiao import FapiaoWish
from marketplace.payments.stripe_models import StripePayout
from tests.enrolment.test_changes import offered
from tests.factories import make_person, make_run, make_staff, sign_in
from tests.payments.test_debts import transaction_paid
from tests.payments.test_desk_views import find
from tests.payments.test_desk_views import officer as officer
from tests.payments.test_invoices import STUDIO, yijiang
from tests.payments.test_payments import place


@pytest.fixture
def order(now):
    made = place(make_run(), now=now, person=make_person(name="林晓雯 Wen", email="wen@example.cn"))
    transaction_paid(made, now=now)
    return made


def page_of(client, text):
    return client.get("/staff/desk", query_string={"q": text, "lang": "en"}).text


def test_the_taker_of_a_place_finds_the_order_behind_it(client, officer, order, now):
    taker = make_person(name="周一鸣 Zhou", email="zhou@example.cn")
    key = offered(places.find_of_order(order.id), taker.email, now=now)
    transfers.accept(key, person=taker, now=now)

    assert [find(client, name) for name in ("zhou@example.cn", "一鸣", taker.public_id)] == [order.public_id] * 3
    assert [hit.by for hit in desk_search.search("zhou@example.cn").hits] == ["taker"]
    assert [hit.by for hit in desk_search.search("wen@example.cn").hits] == ["person"]


def test_somebody_without_orders_is_found_all_the_same(client, officer, order):
    someone = make_person(name="何其 He", email="he@example.cn")
    page = page_of(client, "he@example.cn")
    assert ("何其 He" in page, "No order found" in page, "/staff/people" in page) == (True, False, False)

    sign_in(client, make_staff("administrator"))
    assert "/staff/people?q=he@example.cn" in page_of(client, "he@example.cn")
    found = desk_search.search("@example.cn")
    assert ([one.id for one in found.people], [hit.order for hit in found.hits]) == ([someone.id], [order])
    assert "/staff/orders/" in page_of(client, "@example.cn")


def test_papers_find_their_order_by_what_is_printed_on_them(client, officer, order, now):
    yijiang()
    invoice = invoices.issue(order.id, STUDIO, actor_id=order.person_id, now=now)
    asked = fapiao.request(order.id, FapiaoWish("personal", "湖畔画室", None, "x@example.cn"), now=now)
    with transaction():
        asked.number, asked.reversal_number = "24110000000000000001", "24110000000000000002"

    names = [invoice.printed_number, invoice.printed_number.lower(), asked.number, asked.reversal_number, "湖畔"]
    assert [find(client, name) for name in names] == [order.public_id] * len(names)
    wrong = invoice.printed_number[:-1] + "9"
    assert [find(client, name) for name in (wrong, "YJC-2026-000001", "24110000000000000003")] == [0, 0, 0]


def test_a_payout_is_told_with_the_way_to_its_page(client, officer, now):
    with transaction():
        add(
            StripePayout(
                payout_id="po_123",
                amount_minor=572000,
                currency="CNY",
                status="paid",
                created_at=now,
                arrives_at=clock.now(),
            )
        )
    page = page_of(client, "po_123")
    assert ("5,720.00" in page, "/staff/reconciliation" in page, "No order found" in page) == (True, True, False)


@pytest.mark.parametrize("text", ["@example.cn", "YJ-2026-000001", "po_123"])
def test_a_search_costs_the_same_however_much_it_finds(order, now, queries, text):
    db.session.expunge_all()
    before = len(queries)
    desk_search.search(text)
    few = len(queries) - before
    for _ in range(3):
        place(make_run(), now=now, person=make_person(email=f"p{_}@example.cn"))
        make_person(email=f"q{_}@example.cn")
    db.session.expunge_all()
    before = len(queries)
    desk_search.search(text)
    assert len(queries) - before == few <= 15


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("李娜", {"李娜"}),
        ("娜 l", {"李娜"}),
        ("100%", {"A 100%_B"}),
        ("%_b", {"A 100%_B"}),
        ("O'B\\", {"o'b\\x"}),
        ("mail.example", {"李娜", "o'b\\x"}),
        ("娜 two@", set()),
        ("zz", set()),
    ],
)
def test_parts_of_names_and_addresses_are_found_in_any_case(app, text, names):
    make_person(name="李娜 Li Na", email="two@mail.example")
    make_person(name="A 100%_B", email="one@example.cn")
    make_person(name="o'b\\x", email="three@mail.example")
    found = {one.name.replace(" Li Na", "") for one in desk_search.search(text).people}
    assert found == names


def test_parts_of_names_are_looked_up_in_an_index(app):
    """With tables so small it must be told to; what the test holds is that query and index speak of the same words."""
    # Whatever the statistics: neither a scan of the whole table nor a walk to it from another's rows.
    for other_way in ("enable_seqscan", "enable_nestloop", "enable_indexscan", "enable_indexonlyscan"):
        db.session.execute(sa.text(f"SET LOCAL {other_way} = off"))
    queries = [desk_search._by_person("李娜"), desk_search._by_fapiao("画室")]
    plans = []
    for query in queries:
        sql = query.compile(db.engine, compile_kwargs={"literal_binds": True})
        plans += db.session.connection().exec_driver_sql(f"EXPLAIN {sql}").scalars()
    for name in ("ix_person_bigrams", "ix_fapiao_request_title_bigrams"):
        assert any(name in line for line in plans)
