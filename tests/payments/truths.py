"""What must be true after every act, and what must be true when nothing is under way."""

from sqlalchemy import text

from marketplace.foundation.database import db

# Each statement finds what must not be.
ALWAYS = {
    "seats taken are the holds and enrolments": """
        SELECT id, seats_taken, capacity, live FROM course_run CROSS JOIN LATERAL (
            SELECT (
                   SELECT count(*) FROM seat_hold WHERE run_id = course_run.id AND ended_at IS NULL)
                 + (SELECT count(*) FROM enrolment WHERE run_id = course_run.id AND ended_at IS NULL) AS live) AS now
         WHERE live <> seats_taken OR seats_taken > capacity OR seats_taken < 0""",
    "seats taken of each pool are its holds and enrolments": """
        SELECT id, taken, size FROM seat_pool CROSS JOIN LATERAL (
            SELECT (SELECT count(*) FROM seat_hold WHERE pool_id = seat_pool.id AND ended_at IS NULL)
                 + (SELECT count(*) FROM enrolment WHERE pool_id = seat_pool.id AND ended_at IS NULL) AS live) AS now
         WHERE live <> taken OR taken > size""",
    "seats kept are the unused ones of pools, and with those taken no more than there are": """
        SELECT id, seats_kept, unused FROM course_run CROSS JOIN LATERAL (
            SELECT coalesce(sum(size - taken), 0) AS unused FROM seat_pool
             WHERE run_id = course_run.id AND released_at IS NULL) AS pools
         WHERE unused <> seats_kept OR seats_kept < 0 OR seats_taken + seats_kept > capacity""",
    "nobody is twice in a run": """
        SELECT run_id, person_id FROM enrolment WHERE ended_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1""",
    "an enrolment rests on a source": """
        SELECT id FROM enrolment WHERE ended_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM enrolment_source WHERE enrolment_id = enrolment.id AND revoked_at IS NULL)""",
    "a place is suspended only while a bank decides": """
        SELECT enrolment.id FROM enrolment
         WHERE ended_at IS NULL AND suspended_at IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM enrolment_source AS source JOIN order_line ON order_line.id = source.order_line_id
                 JOIN payment_attempt ON payment_attempt.order_id = order_line.order_id
                 JOIN dispute ON dispute.attempt_id = payment_attempt.id
                WHERE source.enrolment_id = enrolment.id AND source.revoked_at IS NULL
                  AND dispute.state IN ('inquiry', 'open') AND place_decision = 'suspend')""",
    "every transaction of the ledger sums to zero": """
        SELECT transaction_id, currency FROM ledger_entry GROUP BY 1, 2 HAVING sum(amount_minor) <> 0""",
    "what learner, funder and voucher were asked for by other rows is the price": """
        SELECT line.id, line.price_minor, promised.amount_minor AS subsidy, redemption.amount_minor AS voucher, asked
          FROM order_line AS line JOIN "order" ON "order".id = line.order_id
          LEFT JOIN subsidy ON subsidy.order_line_id = line.id
          LEFT JOIN subsidy_attempt AS promised ON promised.id = subsidy.attempt_id
          LEFT JOIN voucher_redemption AS redemption ON redemption.order_line_id = line.id
         CROSS JOIN LATERAL (
            SELECT coalesce((SELECT attempt.amount_minor FROM order_event AS event
                               JOIN payment_attempt AS attempt ON attempt.public_id = event.details ->> 'attempt'
                              WHERE event.order_id = "order".id AND event.kind = 'confirmed'
                              ORDER BY event.id DESC LIMIT 1), total_minor) AS asked) AS learner
         WHERE line.price_minor <> coalesce(promised.amount_minor, 0) + coalesce(redemption.amount_minor, 0) + asked""",
    "a subsidy stands where its steps led": """
        SELECT subsidy.id, state, owed_minor, told.* FROM subsidy CROSS JOIN LATERAL (
            SELECT sum(owed_minor) AS owed, sum(borne_minor) AS borne,
                   (array_agg(to_state ORDER BY id DESC))[1] AS last
              FROM subsidy_event WHERE subsidy_id = subsidy.id) AS told
         WHERE state <> last OR owed_minor <> owed
            OR borne <> CASE WHEN state IN ('lapsed', 'rejected', 'revoked', 'repaid')
                             THEN amount_minor - owed_minor ELSE 0 END""",
    "a subsidy is what was promised less what came off, and no more is to be returned than that": """
        SELECT subsidy.id, subsidy.amount_minor, promised.amount_minor AS promised, told.*, to_return_minor
          FROM subsidy JOIN subsidy_attempt AS promised ON promised.id = attempt_id CROSS JOIN LATERAL (
            SELECT coalesce(sum(part_minor) FILTER (WHERE act = 'reduce'), 0) AS off,
                   coalesce(sum(part_minor) FILTER (
                       WHERE (act = 'pay') OR (act = 'reduce' AND to_state = 'paid')), 0)
                 - coalesce(sum(part_minor) FILTER (WHERE act IN ('send_back', 'return_part')), 0) AS unsent
              FROM subsidy_event WHERE subsidy_id = subsidy.id) AS told
         WHERE subsidy.amount_minor <> promised.amount_minor - off
            OR (state <> 'claimed' AND to_return_minor <> unsent)""",
    "a batch is paid exactly when a line of it was": """
        SELECT batch.id, paid_at FROM claim_batch AS batch
         WHERE (paid_at IS NOT NULL) <> EXISTS (
               SELECT FROM subsidy JOIN subsidy_event AS event ON event.subsidy_id = subsidy.id
                WHERE subsidy.batch_id = batch.id AND event.act = 'pay')
            OR (paid_at IS NOT NULL AND EXISTS (
               SELECT FROM subsidy WHERE batch_id = batch.id AND state = 'claimed'))""",
    "a budget is never overspent, and its counter is its subsidies": """
        SELECT programme.id, committed_minor, deposited_minor, counted.sum, promised
          FROM funding_programme AS programme CROSS JOIN LATERAL (
            SELECT coalesce(sum(committed_minor), 0) AS sum,
                   coalesce(sum(amount_minor) FILTER (
                       WHERE state IN ('applied', 'reserved', 'earned', 'claimed', 'paid')), 0) AS promised
              FROM subsidy WHERE programme_id = programme.id) AS counted
         WHERE committed_minor > deposited_minor OR committed_minor < 0 OR promised > deposited_minor
            OR committed_minor <> counted.sum""",
    "a code is never overdrawn, and its counters are its movements": """
        SELECT voucher.id, uses, spent_minor, moved FROM voucher CROSS JOIN LATERAL (
            SELECT coalesce(sum(movement.uses), 0) AS used, coalesce(sum(movement.amount_minor), 0) AS moved
              FROM voucher_movement AS movement JOIN voucher_redemption ON voucher_redemption.id = redemption_id
             WHERE voucher_id = voucher.id) AS told
         WHERE uses > use_cap OR spent_minor > money_cap_minor OR uses < 0 OR spent_minor < 0
            OR uses <> used OR spent_minor <> moved""",
    "nobody pays more than the price of the run or of its rule": """
        SELECT line.id FROM order_line AS line
         WHERE price_rule ->> 'rule' IS NULL
           AND price_minor <> coalesce((price_rule #>> '{pricing,price_minor}')::bigint,
                                       (price_rule ->> 'list_price_minor')::bigint)""",
    "no more goes back from a payment than came": """
        SELECT attempt.id FROM payment_attempt AS attempt
         WHERE attempt.amount_minor < (SELECT coalesce(sum(amount_minor), 0) FROM refund
                                        WHERE attempt_id = attempt.id AND state = 'succeeded')""",
    "a run's change counts the people it is about": """
        SELECT change.id, people_settled, settled, finished_at FROM run_change AS change CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE state = 'settled') AS settled, count(*) AS in_all
              FROM run_change_answer WHERE run_change_id = change.id) AS counted
         WHERE people_settled <> settled OR people_in_all <> in_all
            OR (finished_at IS NULL) <> (settled < in_all)""",
    "a confirmed order that owed something was paid": """
        SELECT id FROM "order" WHERE state = 'confirmed' AND total_minor > 0 AND NOT EXISTS (
            SELECT 1 FROM payment_attempt WHERE order_id = "order".id AND state = 'paid')""",
    "money without a fact is what staff are asked about": """
        SELECT book, waits FROM
          (SELECT coalesce(-sum(amount_minor), 0) AS book FROM ledger_entry
            WHERE account = 'unmatched_money') AS stands,
          (SELECT coalesce(sum((details ->> 'theirs')::bigint), 0) AS waits FROM discrepancy
            WHERE kind IN ('unknown_movement', 'unknown_transfer') AND resolved_at IS NULL) AS asked
         WHERE book <> waits""",
    "a payment buys its place or goes back": """
        SELECT attempt.public_id FROM payment_attempt AS attempt
         WHERE attempt.state = 'paid' AND purpose = 'order'
           AND NOT EXISTS (SELECT 1 FROM order_event WHERE order_id = attempt.order_id AND kind = 'confirmed'
                              AND details ->> 'attempt' = attempt.public_id)
           AND NOT EXISTS (SELECT 1 FROM refund_due WHERE attempt_public_id = attempt.public_id)""",
}
AT_REST = {
    "no hold outlives its time": "SELECT id FROM seat_hold WHERE ended_at IS NULL",
    "no order waits": """SELECT id, state FROM "order" WHERE state IN ('awaiting_payment', 'payment_pending')""",
    "no page stands open": "SELECT id, state FROM payment_attempt WHERE state IN ('created', 'open', 'processing')",
    "no refund is under way": "SELECT id, state FROM refund WHERE state IN ('requested', 'pending')",
    "no more is owed back of a payment than came": """
        SELECT attempt.id FROM payment_attempt AS attempt
         WHERE attempt.amount_minor < (SELECT coalesce(sum(amount_minor), 0) FROM refund_due
                                        WHERE attempt_public_id = attempt.public_id AND voided_at IS NULL)""",
    "every fact of money due was taken up": """
        SELECT id, reason FROM refund_due WHERE picked_up_at IS NULL AND payer = 'learner'""",
    "every paid attempt is in the ledger": """
        SELECT public_id FROM payment_attempt WHERE state = 'paid' AND NOT EXISTS (
            SELECT 1 FROM ledger_transaction WHERE key = 'payment:' || payment_attempt.public_id)""",
    "no event is left": "SELECT id, type FROM stripe_event WHERE state IN ('new', 'failed')",
    "what is owed back waits for staff, who were told": """
        SELECT account, owed, queued FROM (
            SELECT account, -sum(amount_minor) AS owed FROM ledger_entry
             WHERE account = 'refunds_payable' GROUP BY account) AS book
          CROSS JOIN LATERAL (
            SELECT coalesce(sum(least(refund.amount_minor, CASE WHEN purpose = 'order' THEN attempt.amount_minor - (
                       SELECT coalesce(sum(amount_minor), 0) FROM refund_due
                        WHERE attempt_public_id = attempt.public_id AND voided_at IS NULL)
                   ELSE (SELECT coalesce(greatest(max(beyond), 0) - sum(minor), 0) FROM (
                           SELECT minor, sum(minor) OVER (ORDER BY at, fact, minor) AS beyond FROM (
                             SELECT recorded_at AS at, id AS fact, -amount_minor AS minor FROM refund_due
                              WHERE attempt_public_id = attempt.public_id AND reason = 'debt_gone'
                                AND key NOT LIKE 'again:%'
                              UNION ALL
                             SELECT recorded_at, id, amount_minor FROM refund_due
                              WHERE attempt_public_id = attempt.public_id AND reason = 'debt_returned'
                                AND voided_at IS NULL
                              UNION ALL
                             SELECT sent.settled_at, due.id, sent.amount_minor FROM refund AS sent
                               JOIN refund_due AS due ON due.id = sent.refund_due_id
                              WHERE sent.attempt_id = attempt.id AND sent.state = 'succeeded'
                                AND due.reason = 'debt_gone') AS moves) AS course)
                   END)), 0) AS queued
              FROM refund JOIN payment_attempt AS attempt ON attempt.id = attempt_id
             WHERE refund.state = 'failed' AND refund.public_id IN (
                   SELECT reference FROM discrepancy WHERE kind = 'refund_failed' AND resolved_at IS NULL)
               AND NOT EXISTS (SELECT 1 FROM order_event WHERE order_id = attempt.order_id AND kind = 'confirmed'
                                  AND details ->> 'attempt' = attempt.public_id)) AS told
         WHERE owed <> queued""",
    "nothing else puzzles staff": """
        SELECT kind, reference FROM discrepancy WHERE resolved_at IS NULL AND kind <> 'refund_failed'""",
    "nobody is left in a run that is off, unless staff know why": """
        SELECT enrolment.id FROM enrolment JOIN course_run ON course_run.id = run_id
         WHERE ended_at IS NULL AND course_run.state = 'cancelled' AND NOT EXISTS (
               SELECT 1 FROM run_change_answer WHERE enrolment_id = enrolment.id AND state = 'failed')""",
    "an order keeps what was paid for it and has not gone back": """
        SELECT "order".id, kept, paid, back FROM "order" CROSS JOIN LATERAL (
            SELECT coalesce(-sum(amount_minor), 0) AS kept FROM ledger_entry
              JOIN ledger_transaction ON ledger_transaction.id = transaction_id
             WHERE order_id = "order".id AND account = 'unearned_revenue') AS book CROSS JOIN LATERAL (
            SELECT coalesce(sum(amount_minor), 0) AS paid FROM payment_attempt
             WHERE order_id = "order".id AND payment_attempt.state = 'paid' AND purpose = 'order') AS came
         CROSS JOIN LATERAL (
            SELECT coalesce(sum(due.amount_minor), 0) AS back FROM refund_due AS due
              LEFT JOIN payment_attempt AS attempt ON attempt.public_id = attempt_public_id
             WHERE due.order_id = "order".id AND payer = 'learner' AND voided_at IS NULL
               AND purpose IS DISTINCT FROM 'debt') AS went
         WHERE kept < 0 OR kept > total_minor OR kept > paid - back""",
    "money in dispute is that of open disputes": """
        SELECT held, disputed FROM (
            SELECT coalesce(sum(amount_minor), 0) AS held FROM ledger_entry WHERE account = 'disputes_held') AS book
          CROSS JOIN (SELECT coalesce(sum(amount_minor), 0) AS disputed FROM dispute WHERE state = 'open') AS told
         WHERE held <> disputed""",
    "an order that ended holds no budget, and its learner owes nothing": """
        SELECT line.id, subsidy.state FROM order_line AS line JOIN "order" ON "order".id = line.order_id
          JOIN subsidy ON subsidy.order_line_id = line.id
         WHERE "order".state IN ('cancelled', 'expired')
           AND subsidy.state NOT IN ('cancelled', 'released', 'clawed_back', 'sent_back')""",
    "the books say of a subsidy what its state says": """
        SELECT subsidy.id, state, amount_minor, owed_minor, book.* FROM subsidy
          JOIN order_line AS line ON line.id = subsidy.order_line_id
         CROSS JOIN LATERAL (
            SELECT coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'subsidy_promised'), 0) AS promised,
                   coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'subsidy_receivable'), 0) AS receivable,
                   coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'learner_receivable'), 0) AS owed,
                   coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'subsidy_cost'), 0) AS cost,
                   coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'bank'), 0) AS bank,
                   coalesce(sum(entry.amount_minor) FILTER (WHERE account = 'unearned_subsidy'), 0) AS unearned
              FROM ledger_transaction AS posted JOIN ledger_entry AS entry ON entry.transaction_id = posted.id
             WHERE posted.order_id = line.order_id AND posted.kind = 'subsidy') AS book
         WHERE promised <> CASE WHEN state IN ('applied', 'reserved') THEN amount_minor ELSE 0 END
            OR receivable <> CASE WHEN state IN ('earned', 'claimed') THEN amount_minor
                                  WHEN state = 'paid' THEN -to_return_minor
                                  WHEN state IN ('clawed_back', 'revoked') THEN -amount_minor - to_return_minor
                                  WHEN state IN ('lapsed', 'rejected') THEN amount_minor - owed_minor ELSE 0 END
            OR owed <> owed_minor
            OR cost <> CASE WHEN state IN ('revoked', 'repaid') THEN amount_minor - owed_minor ELSE 0 END
            OR bank <> CASE WHEN state IN ('paid', 'clawed_back', 'revoked') THEN amount_minor + to_return_minor
                            ELSE 0 END
            OR unearned <> CASE WHEN state IN ('cancelled', 'released', 'clawed_back', 'sent_back') THEN 0
                                ELSE -amount_minor END""",
}


def hold_true(truths):
    """Ask for all in one statement, since it is asked thousands of times; what is broken is told row by row."""
    asked = " UNION ALL ".join(f"SELECT {number} WHERE EXISTS ({sql})" for number, sql in enumerate(truths.values()))
    names = list(truths)
    for number in db.session.scalars(text(asked)).all():
        broken = db.session.execute(text(truths[names[number]])).all()
        assert broken == [], f"{names[number]}: {broken}"
