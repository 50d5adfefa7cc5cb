"""The cart, which lives in the visitor's session: quantities by product number."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import database
from flask import session


@dataclass(frozen=True, slots=True)
class Line:
    """A product in the cart and how many of it."""

    product: sqlite3.Row
    quantity: int

    @property
    def cents(self) -> int:
        return self.product["cents"] * self.quantity


class OutOfStockError(Exception):
    """Somebody else was faster."""


def add(product_id: int, quantity: int) -> None:
    """Put more of a product into the cart; a negative quantity takes some out."""
    # A session's JSON has text keys, and notices only an assignment.
    cart = dict(session.get("cart", {}))
    total = cart.pop(str(product_id), 0) + quantity
    if total > 0:
        cart[str(product_id)] = total
    session["cart"] = cart


def count() -> int:
    """Return how many pieces are in the cart."""
    return sum(session.get("cart", {}).values())


def lines() -> list[Line]:
    """Return the cart's lines with the products as they are now."""
    wanted = session.get("cart", {})
    rows = database.current().execute("SELECT * FROM product ORDER BY name").fetchall()
    return [Line(row, wanted[str(row["id"])]) for row in rows if str(row["id"]) in wanted]


def buy(customer: str, email: str, address: str) -> int:
    """Turn the cart into a purchase and return its number; OutOfStockError means that nothing was sold."""
    with database.transaction() as connection:
        purchase = connection.execute(
            "INSERT INTO purchase (customer, email, address) VALUES (?, ?, ?)", (customer, email, address)
        ).lastrowid
        for line in lines():
            if line.product["stock"] < line.quantity:
                raise OutOfStockError(f"Only {line.product['stock']} of {line.product['name']} are left.")
            connection.execute("UPDATE product SET stock = stock - ? WHERE id = ?", (line.quantity, line.product["id"]))
            connection.execute(
                "INSERT INTO purchase_line (purchase_id, product_id, quantity, cents) VALUES (?, ?, ?, ?)",
                (purchase, line.product["id"], line.quantity, line.product["cents"]),
            )
    session.pop("cart")
    assert purchase is not None
    return purchase
