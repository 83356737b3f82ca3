"""The key of a form is its person's own, and prices that count the seats taken have left the functions of placing.

Runs with price rules are placed under the lock since (`enrolment/orders.py`). `place_order_with_payers` and
`policy_for_sale` are still those of 0050. A later change of a function is a new migration that replaces it.
"""

from __future__ import annotations

from alembic import op

revision = "0051"
down_revision = "0050"

# Everything the decision needs of a run and of a person in it, and a mark of all that must not change before the order
# is written: all but the number of seats taken, which others change all the time, and with what subsidies are decided
# from. OFFSET 0 keeps the planner from reading every fact once more for the mark.
FACTS = """
CREATE OR REPLACE FUNCTION placing_facts(p_run bigint, p_person bigint, p_key text, p_now timestamptz)
RETURNS TABLE (
    run_state text, course_state text, enrol_opens_at timestamptz, enrol_closes_at timestamptz, capacity integer,
    seats_taken integer, seats_kept integer, price_minor bigint, currency text, is_subsidised boolean, zone text,
    has_price_rules boolean, course_id bigint, starts_at timestamptz,
    order_of_form text, open_order text, hold_id bigint, hold_until timestamptz, is_enrolled boolean,
    is_provider boolean, has_expired_holds boolean, has_waiting boolean, entry_id bigint, mark bigint
) LANGUAGE sql STABLE PARALLEL RESTRICTED AS $$
SELECT facts.run_state, facts.course_state, facts.enrol_opens_at, facts.enrol_closes_at, facts.capacity,
       facts.seats_taken, facts.seats_kept, facts.price_minor, facts.currency, facts.is_subsidised, facts.zone,
       facts.has_price_rules, facts.course_id, facts.starts_at, facts.order_of_form, facts.open_order,
       facts.hold_id, facts.hold_until, facts.is_enrolled, facts.is_provider, facts.has_expired_holds,
       facts.has_waiting, facts.entry_id,
       hash_record_extended(ROW(
           facts.run_state, facts.course_state, facts.enrol_opens_at, facts.enrol_closes_at, facts.capacity,
           facts.seats_kept, facts.price_minor,
           facts.currency, facts.is_subsidised, facts.zone, facts.has_price_rules, facts.course_id, facts.starts_at,
           facts.order_of_form, facts.open_order, facts.hold_id, facts.hold_until, facts.is_enrolled, facts.is_provider,
           facts.has_expired_holds, facts.has_waiting, facts.entry_id, facts.mode, facts.ends_at), 0)
  FROM (
    SELECT run.state AS run_state, course.state AS course_state, run.enrol_opens_at, run.enrol_closes_at, run.capacity,
           run.seats_taken, run.seats_kept, run.price_minor, run.currency,
           run.is_subsidised, run.zone, run.has_price_rules, run.course_id, run.starts_at, run.ends_at, run.mode,
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
# Orders that came in at the same moment, each the only one of its person and of its form: written are those whose mark
# is still the same, as far as the seats go, in the order of their numbers. Those that their buyers pay are written
# together, and leave a seat to each that came before them and has other payers; then these, one by one. Every statement
# of a volatile function sees what was committed when it began, so the facts are those of the moment after the locks
# were granted. Of several runs those that somebody else has locked are left out, and one run is not waited for long:
# others wait behind this.
PLACE = """
CREATE OR REPLACE FUNCTION place_orders(p_orders jsonb) RETURNS TABLE (order_number integer)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan SET lock_timeout = '100ms' AS $$
DECLARE
    runs bigint[];
    theirs record;
BEGIN
    SELECT array_agg(DISTINCT (one -> 'run')::bigint) INTO runs FROM jsonb_array_elements(p_orders) AS one;
    IF cardinality(runs) = 1 THEN
        PERFORM FROM course_run WHERE id = runs[1] FOR NO KEY UPDATE;
    ELSE
        SELECT array_agg(mine.id) INTO runs
          FROM (SELECT id FROM course_run WHERE id = ANY (runs) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) AS mine;
    END IF;
    RETURN QUERY
    WITH payers AS MATERIALIZED (
        SELECT (one -> 'number')::integer AS number, (one -> 'run')::bigint AS run
          FROM jsonb_array_elements(p_orders) AS one WHERE (one -> 'has_payers')::boolean
    ), wanted AS MATERIALIZED (
        SELECT *
          FROM jsonb_to_recordset(p_orders) AS one (
              number integer, mark bigint, run bigint, person bigint, course bigint, key text, now timestamptz,
              until timestamptz, hold_public_id text, public_id text, locale text, currency text, price bigint,
              subsidy bigint, voucher bigint, due bigint, terms integer, rule jsonb, has_payers boolean)
         WHERE one.run = ANY (runs) AND NOT one.has_payers
    ), fresh AS MATERIALIZED (
        SELECT wanted.*, facts.capacity - facts.seats_taken - facts.seats_kept AS seats,
               row_number() OVER (PARTITION BY wanted.run ORDER BY wanted.number)
               + (SELECT count(*) FROM payers WHERE payers.run = wanted.run AND payers.number < wanted.number) AS turn
          FROM wanted
         CROSS JOIN LATERAL placing_facts(wanted.run, wanted.person, wanted.key, wanted.now) AS facts
         WHERE facts.mark = wanted.mark
    ), chosen AS MATERIALIZED (
        SELECT * FROM fresh WHERE turn <= seats
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
               policy_for_sale(chosen.run, chosen.course)
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
    """Change the key, replace two functions."""
    # Nobody can stand in another's way by a key they have seen or guessed. A database may have the new key already: for
    # a short while 0050 made it.
    op.execute('ALTER TABLE "order" DROP CONSTRAINT IF EXISTS uq_order_person_id_request_key')
    op.execute('ALTER TABLE "order" DROP CONSTRAINT IF EXISTS uq_order_request_key')
    op.create_unique_constraint("uq_order_person_id_request_key", "order", ["person_id", "request_key"])
    for function in (FACTS, PLACE):
        op.execute(function)
