"""A code and a budget pay their parts in the statement that writes the order, so that they are locked for less time.

What they are given is made by `funding/claiming.py`; `place_orders` (0050) calls them. A later change of one of these
functions is a new migration that replaces it.
"""

from __future__ import annotations

from alembic import op

revision = "0049"
down_revision = "0048"

# Both write, or return false: then what they have done is to be undone by the caller. Each statement of a volatile
# function sees what was committed when it began, so what is counted after an UPDATE is of a moment after that row was
# locked.
REDEEM = """
CREATE FUNCTION redeem_voucher(p_asked jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    asked record;
    redemption bigint;
BEGIN
    SELECT * INTO asked
      FROM jsonb_to_record(p_asked) AS one (voucher bigint, line bigint, person bigint, person_cap integer,
                                            sponsor bigint, amount bigint, currency text, now timestamptz);
    UPDATE voucher SET uses = uses + 1, spent_minor = spent_minor + asked.amount
     WHERE id = asked.voucher AND ended_at IS NULL AND (use_cap IS NULL OR uses < use_cap)
       AND (money_cap_minor IS NULL OR spent_minor + asked.amount <= money_cap_minor);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF asked.person_cap <= (
        SELECT coalesce(sum(movement.uses), 0)
          FROM voucher_redemption AS before JOIN voucher_movement AS movement ON movement.redemption_id = before.id
         WHERE before.voucher_id = asked.voucher AND before.person_id = asked.person
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO voucher_redemption (voucher_id, order_line_id, person_id, sponsor_id, amount_minor, currency,
                                    redeemed_at)
    VALUES (asked.voucher, asked.line, asked.person, asked.sponsor, asked.amount, asked.currency, asked.now)
    RETURNING id INTO redemption;
    INSERT INTO voucher_movement (redemption_id, kind, amount_minor, uses, occurred_at, recorded_at)
    VALUES (redemption, 'redeemed', asked.amount, 1, asked.now, asked.now);
    RETURN true;
END $$
"""
# The programme is as it was read, its budget holds the whole amount and its rule is the newest still: publishing a
# version takes the lock of the programme too.
RESERVE = """
CREATE FUNCTION reserve_subsidy(p_asked jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    asked record;
    attempt bigint;
    consent bigint;
    promised bigint;
BEGIN
    SELECT * INTO asked
      FROM jsonb_to_record(p_asked) AS one (
          programme bigint, rule bigint, frame jsonb, person bigint, line bigint, price bigint, amount bigint,
          currency text, buyer jsonb, offer jsonb, reasons jsonb, now timestamptz, recorded timestamptz,
          text_version integer, locale text, text text, facts jsonb, public_id text, order_number text, title_zh text,
          title_en text, state text, earn_by timestamptz);
    UPDATE funding_programme SET committed_minor = committed_minor + asked.amount
     WHERE id = asked.programme AND closed_at IS NULL AND deposited_minor - committed_minor >= asked.amount
       AND jsonb_build_array(currency, zone, applications_from, applications_until, runs_from, runs_until)
           = asked.frame;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF asked.rule IS DISTINCT FROM (
        SELECT id FROM funding_rule WHERE programme_id = asked.programme AND published_at IS NOT NULL
         ORDER BY version DESC LIMIT 1
    ) THEN
        RETURN false;
    END IF;
    INSERT INTO subsidy_attempt (programme_id, rule_id, person_id, order_line_id, outcome, refusal, price_minor,
                                 amount_minor, currency, buyer, offer, reasons, attempted_at)
    VALUES (asked.programme, asked.rule, asked.person, asked.line, 'accepted', '', asked.price, asked.amount,
            asked.currency, asked.buyer, asked.offer, asked.reasons, asked.now)
    RETURNING id INTO attempt;
    INSERT INTO subsidy_consent (person_id, programme_id, text_version, locale, text, facts, given_at)
    VALUES (asked.person, asked.programme, asked.text_version, asked.locale, asked.text, asked.facts, asked.now)
    RETURNING id INTO consent;
    INSERT INTO subsidy (public_id, programme_id, rule_id, attempt_id, consent_id, person_id, order_line_id,
                         order_number, title_zh, title_en, state, amount_minor, committed_minor, owed_minor, currency,
                         applied_at, earn_by)
    VALUES (asked.public_id, asked.programme, asked.rule, attempt, consent, asked.person, asked.line,
            asked.order_number, asked.title_zh, asked.title_en, asked.state, asked.amount, asked.amount, 0,
            asked.currency, asked.now, asked.earn_by)
    RETURNING id INTO promised;
    INSERT INTO subsidy_event (subsidy_id, act, from_state, to_state, occurred_at, recorded_at, actor_id, amount_minor,
                               owed_minor, borne_minor, deadline, evidence)
    VALUES (promised, 'apply', NULL, 'applied', asked.now, asked.recorded, asked.person, asked.amount, 0, 0,
            asked.earn_by, '{}');
    IF asked.state = 'reserved' THEN
        INSERT INTO subsidy_event (subsidy_id, act, from_state, to_state, occurred_at, recorded_at, amount_minor,
                                   owed_minor, borne_minor, evidence)
        VALUES (promised, 'approve', 'applied', 'reserved', asked.now, asked.recorded, asked.amount, 0, 0,
                jsonb_build_object('attempt', attempt));
    END IF;
    RETURN true;
END $$
"""


def upgrade() -> None:
    """Make the functions."""
    for function in (REDEEM, RESERVE):
        op.execute(function)
