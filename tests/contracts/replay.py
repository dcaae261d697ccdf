"""A consumer of `shop.orders` that keeps orders, items and payments as tables, as a reader of it would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.contracts.worlds import Message, Row

_NOT_YET = ("carrier", "tracking", "paid_at", "shipped_at", "delivered_at", "cancelled_at", "refunded_at")
_PLACED = ("reference", "customer_id", "currency", "items_total", "shipping", "total", "gift_note")


def replayed(messages: list[Message]) -> dict[str, list[Row]]:
    """The tables after the last message."""
    orders: dict[str, Row] = {}
    items: list[Row] = []
    payments: list[Row] = []
    for key, event, headers, timestamp in messages:
        assert headers["type"] == f"order.{event['event']}"
        assert (key, timestamp) == (str(event["order_id"]), event["at"])
        if event["event"] == "placed":
            orders[key] = _placed(event, headers)
            items += _items(event)
        order = orders[key]
        assert order["trace_id"] == headers["trace-id"]
        order["updated_at"] = event["at"]
        if event["event"] == "payment_failed":
            payments.append(_payment(event, "failed"))
        elif event["event"] != "placed":
            order["status"], order[f"{event['event']}_at"] = event["event"], event["at"]
            if event["event"] == "paid":
                payments.append(_payment(event, "captured"))
            if event["event"] == "shipped":
                order |= {"carrier": event["carrier"], "tracking": event["tracking"]}
            if event["event"] == "refunded":
                payments[-1] |= {"status": "refunded", "refunded_at": event["at"]}
    return {"orders": list(orders.values()), "order_items": items, "payments": payments}


def _placed(event: Row, headers: Row) -> Row:
    order: dict[str, Any] = {"id": event["order_id"], "status": "placed", "placed_at": event["at"]}
    order |= dict.fromkeys(_NOT_YET) | {"trace_id": headers["trace-id"]}
    return order | {name: event[name] for name in _PLACED}


def _items(event: Row) -> list[Row]:
    return [{"order_id": event["order_id"], "position": n, **item} for n, item in enumerate(event["items"], 1)]


def _payment(event: Row, status: str) -> Row:
    return {
        "id": event["payment_id"],
        "order_id": event["order_id"],
        "attempt": event["attempt"],
        "status": status,
        "method": event["method"],
        "amount": event["amount"],
        "reason": event["reason"],
        "created_at": event["at"],
        "refunded_at": None,
    }
