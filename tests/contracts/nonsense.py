"""What must not be found in the shipped tables, wherever they are: as queries for SQLite, and for PostgreSQL."""

from __future__ import annotations

import re

# By what it would mean. Amounts are in cents, times in µs since 1970.
NONSENSE = {
    "an order without items": "SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM order_items)",
    "an order whose items do not add up": """
        SELECT id FROM orders JOIN (SELECT order_id, sum(amount) AS amount FROM order_items GROUP BY order_id)
        ON order_id = id WHERE amount <> items_total""",
    "a payment of another amount than the order's": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id WHERE amount <> total""",
    "a paid order that was not paid exactly once": """
        SELECT id FROM orders WHERE CASE WHEN paid_at IS NULL THEN 0 ELSE 1 END <>
        (SELECT count(*) FROM payments WHERE order_id = orders.id AND status <> 'failed')""",
    "a payment at another time than the order says": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id
        WHERE payments.status <> 'failed' AND paid_at <> created_at OR created_at <= placed_at""",
    "money that was given back for an order that was not": """
        SELECT payments.id FROM payments JOIN orders ON orders.id = order_id
        WHERE payments.refunded_at IS NOT orders.refunded_at AND payments.status <> 'failed'""",
    "a failed payment after one that was captured": """
        SELECT later.id FROM payments AS later JOIN payments AS first USING (order_id)
        WHERE first.status <> 'failed' AND later.attempt > first.attempt""",
    "an order that was placed before its customer was there": """
        SELECT orders.id FROM orders JOIN customers ON customers.id = customer_id
        WHERE placed_at <= customers.created_at""",
    "an order of a product that was not there yet": """
        SELECT orders.id FROM orders JOIN order_items ON order_id = orders.id
        JOIN products ON products.id = product_id WHERE placed_at <= products.created_at""",
    "an item at another price than the product's": """
        SELECT order_id FROM order_items JOIN products ON id = product_id
        WHERE order_items.price <> products.price""",
    "an order whose last change is not its last event": """
        SELECT id FROM orders WHERE status <> 'placed' AND
        updated_at <> coalesce(refunded_at, delivered_at, shipped_at, cancelled_at, paid_at)""",
    "anything after the world's last day": """
        SELECT max(updated_at) FROM orders HAVING max(updated_at) >= 1769817600000000
        UNION ALL SELECT max(finished_at) FROM runs HAVING max(finished_at) >= 1769817600000000""",
    "an ingestion with another number of runs than attempts": """
        SELECT id FROM ingestions WHERE attempts <> (SELECT count(*) FROM runs WHERE ingestion_id = ingestions.id)""",
    "an ingestion whose last run says something else": """
        SELECT ingestions.id FROM ingestions JOIN runs ON ingestion_id = ingestions.id AND attempt = attempts
        WHERE ingestions.status <> runs.status AND NOT (ingestions.status = 'retried' AND runs.status = 'running')
        OR ingestions.finished_at IS NOT runs.finished_at OR ingestions.reason IS NOT runs.reason""",
    "a run that was tried again although it had not failed": """
        SELECT runs.id FROM runs JOIN ingestions ON ingestions.id = ingestion_id
        WHERE attempt < attempts AND runs.status <> 'failed'""",
    "a retry that began before what it retries was over, or of another ingestion": """
        SELECT runs.id FROM runs JOIN runs AS first ON first.id = runs.retry_of
        WHERE runs.started_at < first.finished_at OR runs.ingestion_id <> first.ingestion_id""",
    "an ingestion with another number of files than it says": """
        SELECT id FROM ingestions WHERE files <> (SELECT count(*) FROM processed_files JOIN runs ON runs.id = run_id
        WHERE ingestion_id = ingestions.id)""",
    "a file that its run did not end with, or was processed outside it": """
        SELECT processed_files.id FROM processed_files JOIN runs ON runs.id = run_id
        WHERE (processed_files.status = 'rejected') <> (runs.status = 'failed')
        OR processed_files.reason IS NOT runs.reason AND runs.status = 'failed'
        OR processed_at NOT BETWEEN started_at AND finished_at""",
    "a file that arrived before its schema version was in use": """
        SELECT processed_files.id FROM processed_files JOIN schema_versions AS v ON v.source = processed_files.source
        AND v.version = schema_version WHERE arrived_at NOT BETWEEN valid_from AND coalesce(valid_to, arrived_at)""",
    "a file of another source than its ingestion's": """
        SELECT f.id FROM processed_files AS f JOIN runs ON runs.id = run_id JOIN ingestions AS i ON i.id = ingestion_id
        WHERE f.source <> i.source""",
}

LAST_DAY = "1769817600000000"


def in_postgres(query: str) -> str:
    """The same question to the tables as they are loaded: with PostgreSQL's word for "is not", and real times."""
    return re.sub(r"IS NOT (?!NULL)", "IS DISTINCT FROM ", query).replace(LAST_DAY, "'2026-01-31T00:00:00Z'")
