"""Every line of an order is frozen with the terms its sale is shared by, and with the tax inside its price."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"

# As `posting_rules.shares` divides: the largest remainder gets the odd unit, and on a tie it is not the tax.
TAX = """
CREATE FUNCTION tax_inside(p_price bigint, p_rate integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
SELECT CAST(div(CAST(2 AS numeric) * p_price * p_rate + 9999 + p_rate, CAST(2 AS numeric) * (10000 + p_rate)) AS bigint)
$$
"""
# As `revenue_terms.terms_at` finds them: those of the leading provider if it has any, else those of all.
TERMS = """
CREATE FUNCTION revenue_terms_of(p_run bigint, p_moment timestamptz) RETURNS revenue_terms LANGUAGE sql STABLE AS $$
SELECT terms.* FROM revenue_terms AS terms
 WHERE terms.valid_from <= p_moment
   AND (terms.organisation_id IS NULL
        OR terms.organisation_id = (SELECT provider.organisation_id
                                      FROM course_provider AS provider JOIN course_run AS run USING (course_id)
                                     WHERE run.id = p_run
                                     ORDER BY provider.position, provider.organisation_id LIMIT 1))
 ORDER BY terms.organisation_id IS NULL, terms.valid_from DESC, terms.version DESC LIMIT 1
$$
"""
# In a trigger, so that no way to write a line can leave them out.
FREEZE = """
CREATE FUNCTION freeze_terms_of_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT terms.version, tax_inside(NEW.price_minor, terms.tax) INTO NEW.revenue_terms_version, NEW.tax_minor
      FROM "order" AS placed CROSS JOIN LATERAL revenue_terms_of(NEW.run_id, placed.placed_at) AS terms
     WHERE placed.id = NEW.order_id;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Add the column, fill it from the terms each line was sold by, and keep it filled."""
    op.add_column("order_line", sa.Column("revenue_terms_version", sa.Integer))
    for function in (TAX, TERMS, FREEZE):
        op.execute(function)
    op.execute("ALTER TABLE order_line DISABLE TRIGGER order_line_is_append_only")
    # What the ledger has posted of a line, it was shared by; the others by the terms of whoever led the course then.
    op.execute("""
        UPDATE order_line SET revenue_terms_version = terms.version,
                              tax_minor = tax_inside(order_line.price_minor, terms.tax)
          FROM (
            SELECT line.id, placed.placed_at,
                   (SELECT CAST(done.details ->> 'terms' AS integer) FROM ledger_transaction AS done
                     WHERE done.order_id = placed.id AND done.kind = 'earned' ORDER BY done.id LIMIT 1) AS posted,
                   coalesce((SELECT lead_id FROM course_placement AS known
                              WHERE known.course_id = run.course_id AND known.recorded_at <= placed.placed_at
                              ORDER BY known.id DESC LIMIT 1),
                            (SELECT lead_id FROM course_placement AS known
                              WHERE known.course_id = run.course_id ORDER BY known.id LIMIT 1)) AS lead_id
              FROM order_line AS line
              JOIN "order" AS placed ON placed.id = line.order_id
              JOIN course_run AS run ON run.id = line.run_id
          ) AS sold
         CROSS JOIN LATERAL (
            SELECT version, tax FROM revenue_terms AS terms
             WHERE CASE WHEN sold.posted IS NOT NULL THEN terms.version = sold.posted
                        ELSE terms.valid_from <= sold.placed_at
                             AND (terms.organisation_id IS NULL OR terms.organisation_id = sold.lead_id) END
             ORDER BY terms.organisation_id IS NULL, terms.valid_from DESC, terms.version DESC LIMIT 1
          ) AS terms
         WHERE order_line.id = sold.id
    """)
    op.execute("ALTER TABLE order_line ENABLE TRIGGER order_line_is_append_only")
    op.alter_column("order_line", "revenue_terms_version", nullable=False)
    op.create_foreign_key(
        "fk_order_line_revenue_terms_version", "order_line", "revenue_terms", ["revenue_terms_version"], ["version"]
    )
    op.execute("""
        CREATE TRIGGER order_line_freezes_terms BEFORE INSERT ON order_line
        FOR EACH ROW EXECUTE FUNCTION freeze_terms_of_line()
    """)
