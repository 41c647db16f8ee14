"""Rows of offers that cannot be read: nothing is concluded from them, and everybody can see that there are some."""

import json
from collections.abc import Callable
from hashlib import blake2b
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from aggregator.models import Feed, Offer, Registration
from aggregator.sandbox import Sandbox
from aggregator.sandbox.wire import Answer
from tests.builders import edit, make_product, stored
from tests.flows.passes import assert_sound, feeds, hasty, make_due, open_offers, settle, sync

A, B = "d6ecc882-20a3-d000-3a28-00000000000a", "d6ecc882-20a3-d000-3a28-00000000000b"
NEW = {"status": Registration.PENDING, "registered_at": None, "registered_with": None, "attempts": 0}


def row(id: Any, price: Any, stock: Any = 5) -> str:
    return f'{{"id":{json.dumps(id)},"price":{price},"items_in_stock":{stock}}}'


@pytest.fixture
def lists(sandbox: Sandbox) -> Callable[..., None]:
    """Has the service list these rows, for every product."""

    def lists(*rows: str) -> None:
        sandbox._service.offers_answer = lambda product_id: Answer(200, f"[{','.join(rows)}]".encode())

    return lists


@pytest.fixture
def product(app: Flask, lists: Callable[..., None]) -> str:
    """A product with two offers, of 1000 and of 2000."""
    lists(row(A, 1000), row(B, 2000))
    product_id = str(make_product(app, NEW))
    settle(app)
    return product_id


def a_pass(app: Flask) -> dict[str, int]:
    make_due(app)
    return sync(app)


def last_seen(client, product_id: str) -> dict[str, str]:
    items = client.get(f"/api/v1/products/{product_id}/offers").json
    return {offer["id"]: offer["last_seen_at"] for offer in items}


def rejected_by(app: Flask, product_id: str) -> tuple[int, str | None, str | None]:
    feed = feeds(app)[product_id]
    return feed.rejected_rows, feed.rejected_reason, feed.rejected_offer_id


def test_a_price_with_a_point_and_nothing_after_it_is_a_price(app, product, lists):
    lists(row(A, "2100.0", "7.0"), row(B, "2e3"))
    a_pass(app)

    assert open_offers(app, product) == {A: (2100, 7), B: (2000, 5)}
    assert rejected_by(app, product) == (0, None, None)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(A, '"2100"'), 'bad price: "2100"'),
        (row(A, "null"), "bad price: null"),
        (row(A, "true"), "bad price: true"),
        (row(A, "2100.5"), "bad price: 2100.5"),
        (row(A, "NaN"), "bad price: NaN"),
        (row(A, "2100", "-1"), "bad stock: -1"),
    ],
    ids=lambda text: text if text.startswith("bad") else "",
)
class TestAnOfferWhoseRowIsRejected:
    def test_was_not_seen_and_stays_as_it_was(self, app, client, product, lists, bad, reason):
        before = last_seen(client, product)
        seen = []
        for price in (2100, 2200, 2200):
            lists(bad, row(B, price))
            a_pass(app)

            assert open_offers(app, product) == {A: (1000, 5), B: (price, 5)}
            assert rejected_by(app, product) == (1, reason, A)
            seen.append(last_seen(client, product))
        assert [moments[A] for moments in seen] == [before[A]] * 3
        assert before[B] < seen[0][B] < seen[1][B] < seen[2][B]
        assert_sound(app)

    def test_is_said_on_every_pass_and_by_a_fresh_process_until_it_is_over(
        self, app, make_app, client, product, lists, bad, reason
    ):
        for each in (app, app, hasty(make_app())):
            lists(bad, row(B, 2000))
            make_due(each)
            result = each.test_cli_runner().invoke(args=["offers", "sync"])

            assert result.exit_code == 1
            assert result.stdout.splitlines() == [
                "synced: 1",
                "rejected rows: 1",
                "products with rejected rows: 1",
                f"rejected because: {reason.partition(':')[0]}: 1",
                f"rejected example: product {product}, offer {A}: {reason}",
            ]
            status = make_app().test_client().get("/status").json
            assert status["rejected_example"] == {"product_id": product, "offer_id": A, "reason": reason}
            assert (status["rejected_rows"], status["products_with_rejected_rows"]) == (1, 1)
            words = f"rows of offers that were rejected: 1, of 1 product; for example product {product}, offer {A}: "
            assert words + reason in status["problems"]
            shown = client.get(f"/api/v1/products/{product}").json
            assert shown["offers_up_to_date"] is False
            assert shown["offers_problem"] == f"rows rejected: 1, the first for a {reason}"
        lists(row(A, 1000), row(B, 2000))
        make_due(app)
        result = app.test_cli_runner().invoke(args=["offers", "sync"])

        assert (result.exit_code, result.stdout) == (0, "synced: 1\n")
        assert rejected_by(app, product) == (0, None, None)
        assert make_app().test_client().get("/status").json["rejected_rows"] == 0
        assert client.get(f"/api/v1/products/{product}").json["offers_up_to_date"] is True
        moments = last_seen(client, product)
        assert moments[A] == moments[B]
        assert [offer.confirmed_at for offer in stored(app, Offer)] == [None, None]


def test_an_offer_that_is_gone_after_its_row_was_rejected_was_last_seen_when_it_was_last_read(
    app, client, product, lists
):
    before = last_seen(client, product)
    lists(row(A, "null"), row(B, 2000))
    a_pass(app)
    a_pass(app)
    lists(row(B, 2000))
    a_pass(app)

    closed = client.get(f"/api/v1/products/{product}/offers/{A}").json
    assert closed["last_seen_at"] == before[A]
    assert open_offers(app, product) == {B: (2000, 5)}
    assert_sound(app)


def test_a_row_that_does_not_say_which_offer_it_is_leaves_all_that_are_not_listed_unseen(app, client, product, lists):
    before = last_seen(client, product)
    lists(row(None, 1000), row(B, 2000))
    a_pass(app)
    a_pass(app)

    assert open_offers(app, product) == {A: (1000, 5), B: (2000, 5)}
    assert last_seen(client, product)[A] == before[A] < last_seen(client, product)[B]
    assert rejected_by(app, product) == (1, "bad id: null", None)


def test_the_job_says_how_many_rows_of_how_many_products_were_rejected_and_why(app, runner, lists):
    lists(row(A, "null"), row(B, 2000, '"many"'))
    products = sorted(str(make_product(app, NEW)) for _ in range(3))
    result = runner.invoke(args=["jobs", "run", "sync-offers"])

    assert result.exit_code == 1
    assert "rejected rows: 6, products with rejected rows: 3" in result.stdout
    assert "rejected because: bad price: 3, bad stock: 3" in result.stdout
    example = result.stdout.partition("rejected example: product ")[2]
    assert example.partition(",")[0] in products
    assert example.rstrip().endswith(f"offer {A}: bad price: null")


def test_what_an_older_version_rejected_without_a_word_is_read_again(app, product, lists):
    lists(row(A, "2100.0"), row(B, 2000))
    body = f"[{row(A, '2100.0')},{row(B, 2000)}]".encode()
    digest = int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True)
    edit(app, Feed, Feed.product_id == UUID(product), digest=digest)
    a_pass(app)

    assert open_offers(app, product) == {A: (2100, 5), B: (2000, 5)}
