"""The catalogue as a file."""

import csv
import io
import json
from datetime import timedelta

import pytest

from aggregator.database import transaction
from aggregator.services import catalog, export
from tests.builders import make_category, make_offer, make_product, offer_id, sync

pytestmark = pytest.mark.usefixtures("context")
A = offer_id(1)


def lines(products, with_history: bool = False) -> list[dict]:
    return list(csv.DictReader(io.StringIO("".join(export.csv_lines(products, with_history)), newline="")))


class TestProducts:
    def test_are_all_that_live_as_the_api_shows_them(self, app, client, now):
        product_id, gone = make_product(app, name="Café crème"), make_product(app)
        make_offer(app, product_id, price=700)
        with transaction():
            catalog.remove(gone, now)

        (exported,) = export.products(now)

        shown = client.get(f"/api/v1/products/{product_id}").json
        assert exported == {name: value for name, value in shown.items() if name != "offers"}
        assert export.count() == 1

    def test_are_as_many_as_there_are(self, app, now, monkeypatch):
        monkeypatch.setattr(export, "AT_ONCE", 3)
        made = sorted(str(make_product(app)) for _ in range(7))

        assert [product["id"] for product in export.products(now)] == made

    def test_tell_their_history(self, app, now):
        product_id = make_product(app)
        sync(app, product_id, {A: (100, 1)}, now)
        sync(app, product_id, {A: (100, 0)}, now + timedelta(minutes=1))
        sync(app, product_id, {A: (90, 1)}, now + timedelta(minutes=2))

        (exported,) = export.products(now + timedelta(hours=1), with_history=True)

        assert exported["price_history"] == [
            {"at": "2026-05-04T12:30:15.250000Z", "price": 100},
            {"at": "2026-05-04T12:31:15.250000Z", "price": None},
            {"at": "2026-05-04T12:32:15.250000Z", "price": 90},
        ]

    def test_tell_the_history_of_each_in_batches(self, app, now, monkeypatch):
        monkeypatch.setattr(export, "HISTORIES_AT_ONCE", 2)
        prices = {}
        for price in (100, 200, 300):
            product_id = make_product(app)
            sync(app, product_id, {A: (price, 1)}, now)
            prices[str(product_id)] = [price]
        prices[str(make_product(app))] = []
        exported = list(export.products(now + timedelta(hours=1), with_history=True))

        assert {each["id"]: [point["price"] for point in each["price_history"]] for each in exported} == prices
        assert [each["id"] for each in exported] == sorted(prices)


class TestJsonLines:
    def test_are_a_product_each(self, app, now):
        make_product(app, name="Café\ncrème")
        products = list(export.products(now))

        (line,) = export.json_lines(products)

        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert "Café" in line
        assert [json.loads(line)] == products


class TestCsv:
    def test_has_a_line_for_each_product(self, app, now):
        fields = {"description": "two\nlines", "price": 1999, "stock": 3, "rating": 4.5}
        make_product(app, name='6" pipe, "copper"', category_id=make_category(app, "Pipes"), **fields)

        (line,) = lines(export.products(now))

        assert (line["name"], line["description"]) == ('6" pipe, "copper"', "two\nlines")
        assert line["category"] == "pipes"
        assert (line["price"], line["stock"], line["rating"], line["lowest_price"]) == ("1999", "3", "4.5", "")
        assert list(line) == list(export.COLUMNS)

    def test_has_a_line_for_each_price(self, app, now):
        product_id, other = make_product(app, name="Lamp"), make_product(app, name="Chair")
        sync(app, product_id, {A: (100, 1)}, now)
        sync(app, product_id, {A: (90, 1)}, now + timedelta(minutes=1))

        told = lines(export.products(now + timedelta(hours=1), with_history=True), with_history=True)

        assert sorted((line["name"], line["history_at"], line["history_price"]) for line in told) == [
            ("Chair", "", ""),
            ("Lamp", "2026-05-04T12:30:15.250000Z", "100"),
            ("Lamp", "2026-05-04T12:31:15.250000Z", "90"),
        ]
        assert {line["id"] for line in told} == {str(product_id), str(other)}

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
    def test_is_no_formula_for_a_spreadsheet(self, app, now, name):
        make_product(app, name=name)

        (line,) = lines(export.products(now))

        assert line["name"] == f"'{name}"
