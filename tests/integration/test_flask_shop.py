"""The Flask example, driven by a real client through the real command."""

from __future__ import annotations

import csv
import os
import re

import httpx
import pytest
from harness import EXAMPLES, Launcher, Server

SHOP = EXAMPLES / "flask_shop"
PNG = b"\x89PNG\r\n\x1a\n"
CUSTOMER = {"name": "Ada", "email": "ada@example.com", "address": "12 St James's Square"}


@pytest.fixture(scope="module")
def shop(serve_for_module: Launcher) -> Server:
    database = str(serve_for_module.folder / "shop.sqlite3")
    return serve_for_module("app:app", workers=2, path=[SHOP], variables={"SHOP_DATABASE": database}, tracebacks=True)


def answering_pid(client: httpx.Client) -> int:
    return int(client.get("/worker").raise_for_status().text)


def test_every_worker_serves(shop: Server) -> None:
    """The pids that answer are the pids of the two workers, and neither is the arbiter's."""
    seen = shop.visit_every_worker(answering_pid)

    assert seen == set(shop.workers())
    assert len(seen) == 2
    assert shop.pid not in seen


def test_pages_are_rendered(shop: Server) -> None:
    """The shelf shows the six teas and a product page its price."""
    with shop.client() as client:
        shelf = client.get("/")
        product = client.get("/products/2")

    assert shelf.headers["content-type"] == "text/html; charset=utf-8"
    assert shelf.text.count('class="card"') == 6
    assert "€ 14.50" in product.text


def test_cart_follows_the_visitor_and_nobody_else(shop: Server) -> None:
    """A cart filled through one connection is there on the next ones, and a second visitor's is empty."""
    with shop.client() as visitor:
        added = visitor.post("/cart", data={"product": 3, "quantity": 2})
        cookies = visitor.cookies
    pages = []
    for _ in range(8):
        with shop.client() as later:
            later.cookies = cookies
            pages.append(later.get("/cart").text)

    assert added.status_code == 303
    assert all("Dong Ding" in page and "€ 35.80" in page for page in pages)
    assert "Nothing in it yet" in shop.get("/cart").text


def test_checkout_sells_and_empties_the_cart(shop: Server) -> None:
    """A checkout takes from the stock, shows the purchase to its buyer alone and empties the cart."""
    with shop.client() as client:
        before = stock_of(client, 5)
        client.post("/cart", data={"product": 5, "quantity": 3})
        sold = client.post("/checkout", data=CUSTOMER)
        purchase = client.get(sold.headers["location"])
        cart = client.get("/cart")
        after = stock_of(client, 5)

    assert sold.status_code == 303
    assert "Thank you" in purchase.text
    assert "€ 18.60" in purchase.text
    assert "Nothing in it yet" in cart.text
    assert after == before - 3
    assert shop.get(sold.headers["location"]).status_code == 404


def stock_of(client: httpx.Client, product: int) -> int:
    found = re.search(r"(\d+) in stock", client.get(f"/products/{product}").text)
    assert found
    return int(found[1])


def test_checkout_that_cannot_be_is_refused(shop: Server) -> None:
    """An empty cart, a missing address and more than the stock are refused, and nothing is sold."""
    with shop.client() as client:
        before = stock_of(client, 1)
        empty = client.post("/checkout", data=CUSTOMER)
        client.post("/cart", data={"product": 1, "quantity": 100_000})
        nowhere = client.post("/checkout", data={**CUSTOMER, "address": ""})
        too_many = client.post("/checkout", data=CUSTOMER)
        after = stock_of(client, 1)

    assert (empty.status_code, nowhere.status_code, too_many.status_code) == (422, 422, 409)
    assert after == before


def test_uploaded_picture_comes_back_unchanged(shop: Server) -> None:
    """A picture of 1 MiB comes back byte for byte from any worker, with its length and type."""
    picture = PNG + os.urandom(1024 * 1024)
    with shop.client() as client:
        uploaded = client.post("/products/4/picture", files={"picture": ("tea.png", picture)})
        page = client.get(uploaded.headers["location"])
    downloads = [shop.get("/pictures/4.png") for _ in range(4)]

    assert uploaded.status_code == 303
    assert 'src="/pictures/4.png"' in page.text
    assert all(download.content == picture for download in downloads)
    assert {download.headers["content-length"] for download in downloads} == {str(len(picture))}
    assert {download.headers["content-type"] for download in downloads} == {"image/png"}


def test_part_of_a_picture(shop: Server) -> None:
    """A range of a picture is answered with 206 and exactly these bytes."""
    picture = PNG + os.urandom(300_000)
    with shop.client() as client:
        client.post("/products/6/picture", files={"picture": ("tea.png", picture)})
        part = client.get("/pictures/6.png", headers={"Range": "bytes=100000-249999"})

    assert part.status_code == 206
    assert part.content == picture[100_000:250_000]


def test_uploads_that_are_no_pictures(shop: Server) -> None:
    """A text is refused with 415, and a file over the shop's own limit with 413."""
    with shop.client() as client:
        text = client.post("/products/1/picture", files={"picture": ("tea.png", b"not a picture")})
        large = client.post("/products/1/picture", files={"picture": ("tea.png", PNG + bytes(9 * 1024 * 1024))})

    assert text.status_code == 415
    assert large.status_code == 413


def test_books_are_streamed_to_the_end(shop: Server) -> None:
    """The books come without a length, as chunks, and hold every row of the past 5,000 purchases."""
    books = shop.get("/books.csv")
    rows = list(csv.reader(books.text.splitlines()))

    assert "content-length" not in books.headers
    assert books.headers["transfer-encoding"] == "chunked"
    assert rows[0] == ["purchase", "placed at", "customer", "tea", "quantity", "cents"]
    assert [int(row[0]) for row in rows[1:5001]] == list(range(1, 5001))


def test_head_of_the_books_has_no_body(shop: Server) -> None:
    """HEAD for the streamed download gives the head alone, and the connection serves the next request."""
    with shop.connect() as connection:
        connection.send(b"HEAD /books.csv HTTP/1.1\r\nHost: shop\r\n\r\n")
        head = connection.read_response("HEAD")
        connection.send(b"GET /worker HTTP/1.1\r\nHost: shop\r\n\r\n")
        worker = connection.read_response()

    assert head.status == 200
    assert int(worker.body) in shop.workers()


def test_page_that_does_not_exist(shop: Server) -> None:
    """An unknown page is the shop's own 404."""
    missing = shop.get("/products/99")

    assert missing.status_code == 404
    assert "There is no such tea in this shop." in missing.text


def test_page_that_fails(shop: Server) -> None:
    """A failing view is the shop's own 500 page, its traceback is in the log, and the worker lives on."""
    mark = shop.log.mark()
    workers = shop.workers()
    broken = shop.get("/broken-cup")

    assert broken.status_code == 500
    assert "the cup is broken" not in broken.text
    shop.wait_for_log("RuntimeError: the cup is broken", since=mark)
    assert shop.workers() == workers
