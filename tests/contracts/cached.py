"""What Redis must hold, worked out from the tables alone."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contracts.worlds import Row

_RECENT = 1000
_LATEST_SCHEMA = "6"

Found = dict[str, list["Row"]]


def expected(tables: Found, found: Found) -> Found:
    """The elements of each key; of sessions, whose names nobody can know, the names are taken from `found`."""
    return {
        **_products(tables),
        **_customers(tables),
        **_orders(tables["orders"][-_RECENT:]),
        "session": _sessions(tables, found),
        "ingestions:pending": [{"member": str(r["id"])} for r in tables["ingestions"] if r["status"] == "pending"],
        **{f"source:{r['source']}:schema": [{"value": _LATEST_SCHEMA}] for r in tables["schema_versions"]},
    }


def _products(tables: Found) -> Found:
    sold: Counter[int] = Counter()
    live = {r["id"] for r in tables["orders"] if r["status"] != "cancelled"}
    for item in tables["order_items"]:
        sold[item["product_id"]] += item["quantity"] * (item["order_id"] in live)
    keys: Found = defaultdict(list)
    for row in tables["products"]:
        shown = ("id", "sku", "name", "category", "price", "stock", "active")
        keys[f"product:{row['id']}"] = [{"value": {name: row[name] for name in shown}}]
        keys[f"category:{row['category'].lower()}"].append({"member": str(row["id"])})
        if sold[row["id"]]:
            keys["bestsellers"].append({"member": str(row["id"]), "score": sold[row["id"]]})
    return keys


def _customers(tables: Found) -> Found:
    spent: dict[int, Decimal] = defaultdict(lambda: Decimal("0.00"))
    for order in tables["orders"]:
        if order["status"] in {"paid", "shipped", "delivered"}:
            spent[order["customer_id"]] += Decimal(order["total"])
    keys: Found = defaultdict(list)
    for row in tables["customers"]:
        total = str(spent[row["id"]])
        shown = {"name": f"{row['first_name']} {row['last_name']}", "spent": total}
        keys[f"customer:{row['id']}"] = [shown | {name: row[name] for name in ("email", "tier", "city")}]
        if spent[row["id"]]:
            keys["top-customers"].append({"member": str(row["id"]), "score": total})
    return keys


def _orders(recent: list[Row]) -> Found:
    keys: Found = defaultdict(list)
    for row in recent:
        millis = dt.datetime.fromisoformat(row["placed_at"]) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        entry = {"id": f"{millis // dt.timedelta(milliseconds=1)}-{row['id']}", "order_id": row["id"]}
        entry |= {"customer_id": row["customer_id"], "status": row["status"], "total": row["total"]}
        keys["orders:recent"].append(entry)
        keys[f"customer:{row['customer_id']}:orders"].append({"member": row["reference"]})
    return keys


def _sessions(tables: Found, found: Found) -> list[Row]:
    languages = [(r["id"], r["preferences"]["language"]) for r in tables["customers"]][::5]
    return [
        {"customer_id": customer, "language": language, "seen_at": session["seen_at"]}
        for (customer, language), session in zip(languages, found["session"], strict=True)
    ]
