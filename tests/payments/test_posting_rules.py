from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.money import Money
from marketplace.funding.subsidy_states import TRANSITIONS
from marketplace.payments import posting_rules as rules
from marketplace.payments.posting_rules import Account, Entry, Step, Terms

AMOUNTS = st.integers(-(10**12), 10**12).map(lambda minor: Money(minor, "CNY"))
IDS = st.integers(1, 9)
TERMS = st.builds(Terms, version=st.just(1), platform_fee=st.integers(0, 10_000), tax=st.integers(0, 10_000))
EVERY_RULE = {
    "received": lambda a, i, b: rules.received(a, into=Account.BANK if b else Account.STRIPE_BALANCE, is_kept=b),
    "given_back": lambda a, i, b: rules.given_back(
        a, out_of=Account.STRIPE_BALANCE, whose=Account.UNEARNED_REVENUE if b else Account.LEARNER_RECEIVABLE
    ),
    "voucher_redeemed": lambda a, i, b: rules.voucher_redeemed(a, sponsor_id=i if b else None),
    "sponsor_paid": lambda a, i, b: rules.sponsor_paid(a, sponsor_id=i),
    "processor_fee": lambda a, i, b: rules.processor_fee(a),
    "payout_left": lambda a, i, b: rules.payout_left(a),
    "payout_arrived": lambda a, i, b: rules.payout_arrived(a),
    "dispute_opened": lambda a, i, b: rules.dispute_opened(a),
    "dispute_lost": lambda a, i, b: rules.dispute_lost(
        a, whose=Account.REFUNDS_PAYABLE if b else Account.LEARNER_RECEIVABLE
    ),
    "debt_paid": lambda a, i, b: rules.debt_paid(a, a if b else a - a, into=Account.BANK, programme_id=i),
    "debt_gone": lambda a, i, b: rules.debt_gone(a, programme_id=i),
    "written_off": lambda a, i, b: rules.written_off(a, programme_id=i),
    "unmatched": lambda a, i, b: rules.unmatched(a),
    "unmatched_at_the_bank": lambda a, i, b: rules.unmatched(-a if b else a, at=Account.BANK),
    "unmatched_is_ours": lambda a, i, b: rules.unmatched_is_ours(-a if b else a),
    "exchanged": lambda a, i, b: rules.exchanged(a, Money(a.minor // 7, "USD")),
}


@pytest.mark.parametrize("name", EVERY_RULE)
@given(amount=AMOUNTS, owner=IDS, flag=st.booleans())
def test_every_posting_sums_to_zero_in_each_currency(name, amount, owner, flag):
    entries = EVERY_RULE[name](amount, owner, flag)

    assert set(rules.sums(entries).values()) <= {0}
    assert all(entry.amount.minor for entry in entries)
    assert {entry.account for entry in entries} <= set(Account)


def step_by_step(steps, terms):
    """The shares after earning these unearned balances one after the other."""
    so_far, totals = Money(0, "CNY"), dict.fromkeys(Account, 0)
    for learner, funder, sponsor in steps:
        unearned = [
            Entry(account, Money(-minor, "CNY"))
            for account, minor in zip(rules.UNEARNED, (learner, funder, sponsor), strict=True)
        ]
        entries = rules.earned(unearned, so_far=so_far, terms=terms, provider_id=3)
        assert set(rules.sums(entries).values()) <= {0}
        so_far += Money(learner + funder + sponsor, "CNY")
        for entry in entries:
            totals[entry.account] += entry.amount.minor
    return totals


@given(amount=AMOUNTS, owed=AMOUNTS, borne=AMOUNTS, step=st.sampled_from(TRANSITIONS))
def test_every_step_of_a_subsidy_sums_to_zero(amount, owed, borne, step):
    before, _act, after = step
    entries = rules.subsidy_step(Step(amount, before, after, owed, borne, programme_id=4))

    assert set(rules.sums(entries).values()) <= {0}
    assert {entry.programme_id for entry in entries} <= {4}


def walk(*steps):
    """The balances after these steps of a subsidy of 100: (before, after, owed, borne)."""
    totals = dict.fromkeys(Account, 0)
    for before, after, owed, borne in steps:
        step = Step(Money(100, "CNY"), before, after, Money(owed, "CNY"), Money(borne, "CNY"), programme_id=4)
        for entry in rules.subsidy_step(step):
            totals[entry.account] += entry.amount.minor
    return {account.value: minor for account, minor in totals.items() if minor}


RESERVED = [(None, "applied", 0, 0), ("applied", "reserved", 0, 0)]
CLAIMED = [*RESERVED, ("reserved", "earned", 0, 0), ("earned", "claimed", 0, 0)]
PAID = [*CLAIMED, ("claimed", "paid", 0, 0)]
REVOKED = [*PAID, ("paid", "revoked", 60, 40)]
REPAID = [*REVOKED, ("revoked", "repaid", 0, 0)]


@pytest.mark.parametrize(
    ("steps", "balances"),
    [
        (RESERVED, {"subsidy_promised": 100, "unearned_subsidy": -100}),
        (CLAIMED, {"subsidy_receivable": 100, "unearned_subsidy": -100}),
        (PAID, {"bank": 100, "unearned_subsidy": -100}),
        ([*RESERVED, ("reserved", "released", 0, 0)], {}),
        ([*RESERVED, ("reserved", "lapsed", 100, 0)], {"learner_receivable": 100, "unearned_subsidy": -100}),
        ([*CLAIMED, ("claimed", "rejected", 0, 100)], {"subsidy_receivable": 100, "unearned_subsidy": -100}),
        (
            [*RESERVED, ("reserved", "lapsed", 60, 40)],
            {"learner_receivable": 60, "subsidy_receivable": 40, "unearned_subsidy": -100},
        ),
        ([*RESERVED, ("reserved", "lapsed", 60, 40), ("lapsed", "released", -60, -40)], {}),
        ([*CLAIMED[:-1], ("earned", "rejected", 100, 0)], {"learner_receivable": 100, "unearned_subsidy": -100}),
        ([*PAID, ("paid", "clawed_back", 0, 0)], {"bank": 100, "subsidy_receivable": -100}),
        ([*PAID, ("paid", "clawed_back", 0, 0), ("clawed_back", "sent_back", 0, 0)], {}),
        (
            REVOKED,
            {
                "bank": 100,
                "subsidy_receivable": -100,
                "learner_receivable": 60,
                "subsidy_cost": 40,
                "unearned_subsidy": -100,
            },
        ),
        (REPAID, {"learner_receivable": 60, "subsidy_cost": 40, "unearned_subsidy": -100}),
        ([*REVOKED, ("revoked", "clawed_back", -60, -40)], {"bank": 100, "subsidy_receivable": -100}),
        ([*REPAID, ("repaid", "sent_back", -60, -40)], {}),
    ],
)
def test_a_subsidy_stands_where_its_state_says(steps, balances):
    assert walk(*steps) == balances


SMALL = st.integers(-(10**7), 10**7)


@given(steps=st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=5), terms=TERMS)
def test_shares_do_not_depend_on_how_many_steps_they_took(steps, terms):
    in_one = [tuple(sum(column) for column in zip(*steps, strict=True))]

    assert step_by_step(steps, terms) == step_by_step(in_one, terms)


@given(minor=SMALL, terms=TERMS)
def test_what_is_given_back_in_whole_leaves_no_share_behind(minor, terms):
    assert set(step_by_step([(minor, 0, 0), (-minor, 0, 0)], terms).values()) == {0}


def test_a_sale_is_shared_by_its_terms():
    unearned = [Entry(Account.UNEARNED_REVENUE, Money(-106000, "CNY"))]
    entries = rules.earned(unearned, so_far=Money(0, "CNY"), terms=Terms(1, 1000, 600), provider_id=7)

    assert entries == (
        Entry(Account.UNEARNED_REVENUE, Money(106000, "CNY")),
        Entry(Account.TAX_PAYABLE, Money(-6000, "CNY")),
        Entry(Account.PLATFORM_FEE, Money(-10000, "CNY")),
        Entry(Account.PROVIDER_PAYABLE, Money(-90000, "CNY"), organisation_id=7),
    )
