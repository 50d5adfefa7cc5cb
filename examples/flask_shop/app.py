"""A small tea shop: pages from templates, a cart in the session, sqlite, pictures in, books out.

Run it from this folder with ``workerkit app:app --workers 2``.
"""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import cart
import database
import pictures
from flask import (
    Flask,
    Response,
    abort,
    flash,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
    stream_with_context,
    url_for,
)
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

LARGEST_UPLOAD = 8 * 1024 * 1024

app = Flask(__name__)
app.config["DATABASE"] = Path(os.environ.get("SHOP_DATABASE", "shop.sqlite3")).absolute()
app.config["MAX_CONTENT_LENGTH"] = LARGEST_UPLOAD
# Forms of other sites come without the session, and so find an empty cart.
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
database.init_app(app)
app.secret_key = database.secret_key(app.config["DATABASE"])
app.jinja_env.globals["pieces_in_cart"] = cart.count


@app.template_filter()
def money(cents: int) -> str:
    return f"€ {cents / 100:.2f}"


def product_or_404(product_id: int) -> sqlite3.Row:
    row = database.current().execute("SELECT * FROM product WHERE id = ?", (product_id,)).fetchone()
    return row or abort(404, "There is no such tea in this shop.")


@app.get("/")
def products() -> str:
    rows = database.current().execute("SELECT * FROM product ORDER BY name").fetchall()
    return render_template("products.html", products=rows)


@app.get("/products/<int:product_id>")
def product(product_id: int) -> str:
    return render_template("product.html", product=product_or_404(product_id))


@app.post("/products/<int:product_id>/picture")
def upload_picture(product_id: int) -> AnyResponse:
    product_or_404(product_id)
    upload = request.files.get("picture") or abort(400, "No picture was chosen.")
    try:
        name = pictures.save(upload, product_id)
    except pictures.NotAPictureError as error:
        abort(415, str(error))
    database.current().execute("UPDATE product SET picture = ? WHERE id = ?", (name, product_id))
    return redirect(url_for("product", product_id=product_id), 303)


@app.get("/pictures/<name>")
def picture(name: str) -> Response:
    return send_from_directory(pictures.folder(), name)


@app.get("/cart")
def show_cart() -> str:
    return render_cart()


@app.post("/cart")
def change_cart() -> AnyResponse:
    row = product_or_404(request.form.get("product", 0, type=int))
    cart.add(row["id"], request.form.get("quantity", 1, type=int))
    return redirect(url_for("show_cart"), 303)


@app.post("/checkout")
def checkout() -> AnyResponse | tuple[str, int]:
    customer, email, address = (request.form.get(name, "").strip() for name in ("name", "email", "address"))
    if not cart.count():
        return render_cart("Your cart is empty."), 422
    if not (customer and address and "@" in email):
        return render_cart("We need your name, an e-mail address and where to send the tea."), 422
    try:
        session["purchase"] = cart.buy(customer, email, address)
    except cart.OutOfStockError as error:
        return render_cart(str(error)), 409
    flash("Thank you. The kettle can go on soon.")
    return redirect(url_for("show_purchase", number=session["purchase"]), 303)


def render_cart(problem: str | None = None) -> str:
    lines = cart.lines()
    return render_template("cart.html", lines=lines, total=sum(line.cents for line in lines), problem=problem)


@app.get("/purchases/<int:number>")
def show_purchase(number: int) -> str:
    if session.get("purchase") != number:
        abort(404, "Purchases are shown only to those who made them.")
    lines = database.current().execute(
        "SELECT name, quantity, line.cents FROM purchase_line AS line JOIN product ON product.id = product_id"
        " WHERE purchase_id = ?",
        (number,),
    )
    return render_template("purchase.html", number=number, lines=lines.fetchall())


@app.get("/books.csv")
def books() -> Response:
    """Stream all purchases: thousands of rows, of which a hundred at a time are in memory."""
    download = Response(stream_with_context(purchases_as_csv()), mimetype="text/csv")
    download.headers["Content-Disposition"] = "attachment; filename=books.csv"
    return download


def purchases_as_csv() -> Iterator[str]:
    # Asked for in here: Flask ends the view's own connection before the server fetches the first row.
    rows = database.current().execute(
        "SELECT purchase.id, placed_at, customer, name, quantity, line.cents FROM purchase"
        " JOIN purchase_line AS line ON purchase_id = purchase.id JOIN product ON product.id = product_id"
        " ORDER BY purchase.id, product.id"
    )
    yield "purchase,placed at,customer,tea,quantity,cents\r\n"
    while batch := rows.fetchmany(100):
        page = io.StringIO(newline="")
        csv.writer(page).writerows(batch)
        yield page.getvalue()


@app.get("/worker")
def worker() -> Response:
    """Tell which process answers."""
    return Response(str(os.getpid()), mimetype="text/plain")


@app.get("/broken-cup")
def broken_cup() -> str:
    """Fail on purpose: see what a visitor gets then, and what the log says."""
    raise RuntimeError("the cup is broken")


@app.errorhandler(HTTPException)
def error_page(error: HTTPException) -> tuple[str, int]:
    status = error.code or 500
    return render_template("error.html", status=status, error=error), status
