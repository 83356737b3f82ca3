"""Facts are kept as plain JSON that reads the same every time."""

from datetime import date

from marketplace.funding.facts import Buyer, Offer, recorded


def test_facts_of_a_buyer_are_recorded_sorted():
    buyer = Buyer(person_id=1, email_domain="museum.example", organisation_ids=frozenset({9, 2}), region="310000")

    kept = recorded(buyer)

    assert kept["organisation_ids"] == [2, 9]
    assert (kept["region"], kept["district"], kept["has_enrolled_before"]) == ("310000", None, False)


def test_days_of_an_offer_are_recorded_as_iso():
    offer = Offer(
        run_id=1,
        course_id=2,
        category_id=None,
        provider_ids=frozenset({3}),
        provider_kinds=frozenset({"university"}),
        skill_ids=frozenset(),
        starts_on=date(2027, 3, 1),
        ends_on=None,
        mode="online",
    )

    kept = recorded(offer)

    assert (kept["starts_on"], kept["ends_on"], kept["provider_kinds"]) == ("2027-03-01", None, ["university"])
