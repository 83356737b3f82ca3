"""Orders are placed in two round trips: facts with a mark of them, and a function that writes while the mark holds.

`enrolment/placing.py` calls them. A later change of one of them is a new migration that replaces it.
"""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision = "0049"

# Everything the decision needs of a run and of a person in it, and a mark of all that must not change before the order
# is written. The number of seats taken is a part of it only where the price depends on it. OFFSET 0 keeps the planner
# from reading every fact once more for the mark.
FACTS = """
CREATE FUNCTION placing_facts(p_run bigint, p_person bigint, p_key text, p_now timestamptz)
RETURNS TABLE (
    run_state text, course_state text, enrol_opens_at timestamptz, enrol_closes_at timestamptz, capacity integer,
    seats_taken integer, seats_kept integer, price_minor bigint, currency text, is_subsidised boolean, zone text,
    has_price_rules boolean, course_id bigint, starts_at timestamptz,
    order_of_form text, open_order text, hold_id bigint, hold_until timestamptz, is_enrolled boolean,
    is_provider boolean, has_expired_holds boolean, has_waiting boolean, entry_id bigint, mark bigint
) LANGUAGE sql STABLE PARALLEL RESTRICTED AS $$
SELECT facts.*,
       hash_record_extended(ROW(
           facts.run_state, facts.course_state, facts.enrol_opens_at, facts.enrol_closes_at, facts.capacity,
           CASE WHEN facts.has_price_rules THEN facts.seats_taken END, facts.seats_kept, facts.price_minor,
           facts.currency, facts.is_subsidised, facts.zone, facts.has_price_rules, facts.course_id, facts.starts_at,
           facts.order_of_form, facts.open_order, facts.hold_id, facts.hold_until, facts.is_enrolled, facts.is_provider,
           facts.has_expired_holds, facts.has_waiting, facts.entry_id), 0)
  FROM (
    SELECT run.state AS run_state, course.state AS course_state, run.enrol_opens_at, run.enrol_closes_at, run.capacity,
           run.seats_taken, run.seats_kept, run.price_minor, run.currency,
           run.is_subsidised, run.zone, run.has_price_rules, run.course_id, run.starts_at,
           (SELECT made.public_id FROM "order" AS made WHERE made.request_key = p_key AND made.person_id = p_person)
               AS order_of_form,
           (SELECT made.public_id FROM "order" AS made JOIN order_line AS line ON line.order_id = made.id
             WHERE made.person_id = p_person AND line.run_id = p_run
               AND made.state IN ('awaiting_payment', 'payment_pending') AND made.expires_at > p_now
             ORDER BY made.id DESC LIMIT 1) AS open_order,
           hold.id AS hold_id, hold.until AS hold_until,
           EXISTS (SELECT FROM enrolment WHERE enrolment.run_id = p_run AND enrolment.person_id = p_person
                      AND enrolment.ended_at IS NULL) AS is_enrolled,
           EXISTS (SELECT FROM membership JOIN course_provider USING (organisation_id)
                    WHERE membership.person_id = p_person AND course_provider.course_id = run.course_id)
               AS is_provider,
           EXISTS (SELECT FROM seat_hold AS other WHERE other.run_id = p_run AND other.ended_at IS NULL
                      AND other.until <= p_now) AS has_expired_holds,
           EXISTS (SELECT FROM waiting_entry AS entry WHERE entry.run_id = p_run AND entry.state = 'waiting')
               AS has_waiting,
           (SELECT entry.id FROM waiting_entry AS entry WHERE entry.run_id = p_run AND entry.person_id = p_person
               AND entry.state IN ('waiting', 'offered')) AS entry_id
      FROM course_run AS run
      JOIN course ON course.id = run.course_id
      LEFT JOIN seat_hold AS hold
             ON hold.run_id = p_run AND hold.person_id = p_person AND hold.ended_at IS NULL
     WHERE run.id = p_run
    OFFSET 0
  ) AS facts
$$
"""
# The order of a public seat that a code or a programme pays parts of; its run is locked and its facts are checked. All
# of it or nothing: false when a payer does not pay as was decided.
PLACE_ONE = """
CREATE FUNCTION place_order_with_payers(p_order jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    asked record;
    hold bigint;
    made bigint;
    line record;
    ours jsonb;
BEGIN
    SELECT * INTO asked
      FROM jsonb_to_record(p_order) AS one (
          run bigint, person bigint, course bigint, key text, now timestamptz, until timestamptz, hold_public_id text,
          public_id text, locale text, currency text, price bigint, subsidy bigint, voucher bigint, due bigint,
          terms integer, rule jsonb, code jsonb, programme jsonb);
    UPDATE course_run SET seats_taken = seats_taken + 1 WHERE id = asked.run;
    INSERT INTO seat_hold (public_id, run_id, person_id, until, created_at)
    VALUES (asked.hold_public_id, asked.run, asked.person, asked.until, asked.now)
    RETURNING id INTO hold;
    INSERT INTO "order" (public_id, person_id, state, hold_id, locale, currency, total_minor, placed_at, expires_at,
                         request_key)
    VALUES (asked.public_id, asked.person, 'awaiting_payment', hold, asked.locale, asked.currency, asked.due, asked.now,
            asked.until, asked.key)
    RETURNING id INTO made;
    INSERT INTO order_line (order_id, run_id, price_minor, tax_minor, subsidy_minor, voucher_minor, due_minor,
                            terms_version, title_zh, title_en, price_rule, policy_id)
    SELECT made, asked.run, asked.price, 0, asked.subsidy, asked.voucher, asked.due, asked.terms, title_zh, title_en,
           asked.rule, policy_for_sale(asked.run, asked.course)
      FROM course WHERE course.id = asked.course
    RETURNING id, title_zh, title_en INTO line;
    INSERT INTO consent (person_id, document, version, language, act, reference, given_at)
    VALUES (asked.person, 'terms', asked.terms, asked.locale, 'purchase', asked.public_id, asked.now);
    INSERT INTO order_event (order_id, kind, occurred_at, recorded_at, actor_id, details)
    VALUES (made, 'placed', asked.now, asked.now, asked.person, '{}');
    ours := jsonb_build_object(
        'line', line.id, 'order_number', asked.public_id, 'title_zh', line.title_zh, 'title_en', line.title_en);
    IF asked.code IS NOT NULL AND NOT redeem_voucher(asked.code || ours)
        OR asked.programme IS NOT NULL AND NOT reserve_subsidy(asked.programme || ours)
    THEN
        RAISE SQLSTATE 'MK001';
    END IF;
    RETURN true;
EXCEPTION
    WHEN SQLSTATE 'MK001' THEN
        RETURN false;
END $$
"""
# The terms of cancellation a seat is sold by: the run's own, else its leading provider's, else the house's.
POLICY = """
CREATE FUNCTION policy_for_sale(p_run bigint, p_course bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
SELECT policy.id FROM refund_policy AS policy
 WHERE policy.ended_at IS NULL
   AND (policy.run_id = p_run OR policy.run_id IS NULL AND policy.organisation_id IS NULL
        OR policy.organisation_id = (SELECT provider.organisation_id FROM course_provider AS provider
                                      WHERE provider.course_id = p_course
                                      ORDER BY provider.position, provider.organisation_id LIMIT 1))
 ORDER BY policy.run_id IS NULL, policy.organisation_id IS NULL, policy.id DESC LIMIT 1
$$
"""
# Orders that came in at the same moment, each the only one of its person and of its form: written are those whose mark
# is still the same, as far as the seats go, in the order of their numbers; first those that their buyers pay, together,
# then one by one those with other payers. Every statement of a volatile function
# sees what was committed when it began, so the facts are those of the moment after the locks were granted. Of several
# runs those that somebody else has locked are left out, and one run is not waited for long: others wait behind this.
PLACE = """
CREATE FUNCTION place_orders(p_orders jsonb) RETURNS TABLE (order_number integer)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan SET lock_timeout = '100ms' AS $$
DECLARE
    runs bigint[];
    theirs record;
BEGIN
    IF jsonb_array_length(p_orders) = 1 THEN
        SELECT array_agg(mine.id) INTO runs
          FROM (SELECT id FROM course_run WHERE id = (p_orders -> 0 -> 'run')::bigint FOR NO KEY UPDATE) AS mine;
    ELSE
        SELECT array_agg(DISTINCT (one -> 'run')::bigint) INTO runs FROM jsonb_array_elements(p_orders) AS one;
        IF cardinality(runs) = 1 THEN
            PERFORM FROM course_run WHERE id = runs[1] FOR NO KEY UPDATE;
        ELSE
            SELECT array_agg(mine.id) INTO runs
              FROM (SELECT id FROM course_run WHERE id = ANY (runs) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS mine;
        END IF;
    END IF;
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT *
          FROM jsonb_to_recordset(p_orders) AS one (
              number integer, mark bigint, run bigint, person bigint, course bigint, key text, now timestamptz,
              until timestamptz, hold_public_id text, public_id text, locale text, currency text, price bigint,
              subsidy bigint, voucher bigint, due bigint, terms integer, rule jsonb, has_payers boolean)
         WHERE one.run = ANY (runs) AND NOT one.has_payers
    ), fresh AS MATERIALIZED (
        SELECT wanted.*, facts.has_price_rules, facts.capacity - facts.seats_taken - facts.seats_kept AS seats,
               row_number() OVER (PARTITION BY wanted.run ORDER BY wanted.number) AS turn
          FROM wanted
         CROSS JOIN LATERAL placing_facts(wanted.run, wanted.person, wanted.key, wanted.now) AS facts
         WHERE facts.mark = wanted.mark
    ), chosen AS MATERIALIZED (
        -- Where the price depends on the seats taken, the second one's is to be decided anew.
        SELECT * FROM fresh WHERE turn <= seats AND (turn = 1 OR NOT has_price_rules)
    ), counted AS (
        UPDATE course_run SET seats_taken = seats_taken + more.seats
          FROM (SELECT run, count(*) AS seats FROM chosen GROUP BY run) AS more
         WHERE course_run.id = more.run
    ), held AS (
        INSERT INTO seat_hold (public_id, run_id, person_id, until, created_at)
        SELECT hold_public_id, run, person, until, now FROM chosen
        RETURNING id, public_id
    ), placed AS (
        INSERT INTO "order" (public_id, person_id, state, hold_id, locale, currency, total_minor, placed_at, expires_at,
                             request_key)
        SELECT chosen.public_id, person, 'awaiting_payment', held.id, locale, currency, due, now, until, key
          FROM chosen JOIN held ON held.public_id = chosen.hold_public_id
        RETURNING id, public_id
    ), line AS (
        INSERT INTO order_line (order_id, run_id, price_minor, tax_minor, subsidy_minor, voucher_minor, due_minor,
                                terms_version, title_zh, title_en, price_rule, policy_id)
        SELECT placed.id, run, price, 0, subsidy, voucher, due, terms, title_zh, title_en, rule,
               -- As `policy_for_sale` says, which would be called for each row.
               (SELECT policy.id FROM refund_policy AS policy
                 WHERE policy.ended_at IS NULL
                   AND (policy.run_id = chosen.run OR policy.run_id IS NULL AND policy.organisation_id IS NULL
                        OR policy.organisation_id = (SELECT provider.organisation_id FROM course_provider AS provider
                                                      WHERE provider.course_id = chosen.course
                                                      ORDER BY provider.position, provider.organisation_id LIMIT 1))
                 ORDER BY policy.run_id IS NULL, policy.organisation_id IS NULL, policy.id DESC LIMIT 1)
          FROM chosen JOIN placed USING (public_id) JOIN course ON course.id = chosen.course
    ), agreed AS (
        INSERT INTO consent (person_id, document, version, language, act, reference, given_at)
        SELECT person, 'terms', terms, locale, 'purchase', public_id, now FROM chosen
    ), told AS (
        INSERT INTO order_event (order_id, kind, occurred_at, recorded_at, actor_id, details)
        SELECT placed.id, 'placed', now, now, person, '{}' FROM chosen JOIN placed USING (public_id)
    )
    SELECT chosen.number FROM chosen JOIN placed USING (public_id);

    IF NOT p_orders @? '$[*] ? (@.has_payers == true)' THEN
        RETURN;
    END IF;
    -- In the order everybody takes these locks: codes by number, then programmes by number.
    PERFORM FROM voucher
      WHERE id IN (SELECT (each -> 'code' -> 'voucher')::bigint FROM jsonb_array_elements(p_orders) AS each)
      ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM funding_programme
      WHERE id IN (SELECT (each -> 'programme' -> 'programme')::bigint FROM jsonb_array_elements(p_orders) AS each)
      ORDER BY id FOR NO KEY UPDATE;
    FOR theirs IN
        SELECT (asked.kept -> 'number')::integer AS number, (asked.kept -> 'mark')::bigint AS mark, asked.kept,
               (asked.kept -> 'run')::bigint AS run, (asked.kept -> 'person')::bigint AS person,
               asked.kept ->> 'key' AS key, (asked.kept ->> 'now')::timestamptz AS now
          FROM jsonb_array_elements(p_orders) WITH ORDINALITY AS asked (kept, turn)
         WHERE (asked.kept -> 'has_payers')::boolean AND (asked.kept -> 'run')::bigint = ANY (runs)
         ORDER BY asked.turn
    LOOP
        IF EXISTS (
            SELECT FROM placing_facts(theirs.run, theirs.person, theirs.key, theirs.now) AS facts
             WHERE facts.mark = theirs.mark AND facts.capacity - facts.seats_taken - facts.seats_kept > 0
        ) AND place_order_with_payers(theirs.kept) THEN
            order_number := theirs.number;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Make the functions."""
    for function in (FACTS, POLICY, PLACE_ONE, PLACE):
        op.execute(function)
