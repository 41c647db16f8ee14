"""/api/v1/.../price-history, price-trend and price-insights: over HTTP, and by the command."""

from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.models import Product
from aggregator.models.types import TIMESTAMP_FORMAT
from tests.builders import edit, make_product, offer_id, sync

A, B = offer_id(1), offer_id(2)


def text(moment) -> str:
    return moment.strftime(TIMESTAMP_FORMAT)


@pytest.fixture
def began():
    """A full hour, some days ago."""
    return utcnow().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)


@pytest.fixture
def product(app, began):
    """A product whose offers were synced four times, an hour apart; the cheaper one sells out in between."""
    product_id = make_product(app)
    for hour, offers in enumerate(
        [
            {A: (1000, 5), B: (1200, 5)},
            {A: (900, 5), B: (1200, 5)},
            {A: (900, 0), B: (1200, 5)},
            {A: (950, 1), B: (1200, 5)},
        ]
    ):
        sync(app, product_id, offers, began + timedelta(hours=hour))
    return product_id


class TestHistory:
    def test_of_a_product_is_each_change_of_its_lowest_price(self, visitor, product, began):
        until = began + timedelta(days=1)
        path = f"/api/v1/products/{product}/price-history?since={text(began)}&until={text(until)}"
        history = visitor.get(path).json

        assert history == {
            "interval": "raw",
            "since": text(began),
            "until": text(until),
            "points": [
                {"at": text(began), "price": 1000},
                {"at": text(began + timedelta(hours=1)), "price": 900},
                {"at": text(began + timedelta(hours=2)), "price": 1200},
                {"at": text(began + timedelta(hours=3)), "price": 950},
            ],
        }

    def test_of_an_offer_has_a_gap_while_it_is_sold_out(self, visitor, product, began):
        since, until = text(began + timedelta(minutes=30)), text(began + timedelta(hours=3, minutes=30))
        history = visitor.get(
            f"/api/v1/products/{product}/offers/{A}/price-history?since={since}&until={until}&interval=hour"
        ).json

        rows = [(p["at"], p["min"], p["avg"], p["max"], p["last"]) for p in history["points"]]
        assert rows == [
            (text(began), 1000, 1000.0, 1000, 1000),
            (text(began + timedelta(hours=1)), 900, 900.0, 900, 900),
            (text(began + timedelta(hours=2)), None, None, None, None),
            (text(began + timedelta(hours=3)), 950, 950.0, 950, 950),
        ]

    def test_of_a_product_without_prices_is_empty(self, app, visitor):
        history = visitor.get(f"/api/v1/products/{make_product(app)}/price-history?interval=day").json

        assert (history["interval"], history["points"]) == ("day", [])

    def test_answers_304_while_nothing_changes(self, visitor, product, began):
        path = f"/api/v1/products/{product}/price-history?since={text(began)}&until={text(began + timedelta(days=1))}"
        tag = visitor.get(path).headers["ETag"]

        assert visitor.get(path, headers={"If-None-Match": tag}).status_code == 304


class TestTrend:
    def test_is_from_the_price_in_force_at_the_beginning_to_that_at_the_end(self, visitor, product, began):
        since, until = began + timedelta(minutes=30), began + timedelta(hours=1, minutes=30)
        trend = visitor.get(f"/api/v1/products/{product}/price-trend?since={text(since)}&until={text(until)}").json

        assert trend == {
            "since": text(since),
            "until": text(until),
            "first": {"at": text(since), "price": 1000},
            "last": {"at": text(until), "price": 900},
            "change": -100,
            "change_percent": -10.0,
            "direction": "down",
            "min": 900,
            "max": 1000,
            "average": 950.0,
            "enough_data": True,
        }

    def test_of_an_offer_that_is_sold_out_ends_with_its_last_price(self, visitor, product, began):
        until = text(began + timedelta(hours=2, minutes=30))
        trend = visitor.get(f"/api/v1/products/{product}/offers/{A}/price-trend?until={until}").json

        assert trend["first"] == {"at": text(began), "price": 1000}
        assert trend["last"] == {"at": text(began + timedelta(hours=2)), "price": 900}
        assert (trend["change"], trend["change_percent"], trend["direction"]) == (-100, -10.0, "down")

    def test_without_prices_says_that_there_is_not_enough(self, app, visitor):
        trend = visitor.get(f"/api/v1/products/{make_product(app)}/price-trend").json

        assert trend["enough_data"] is False
        assert [trend[name] for name in ("first", "last", "change", "change_percent", "direction", "average")] == [
            None
        ] * 6

    @pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", TIMESTAMP_FORMAT])
    def test_of_the_command_is_that_of_the_api(self, visitor, runner, product, began, form):
        until = (began + timedelta(hours=5)).replace(microsecond=0)
        trend = visitor.get(f"/api/v1/products/{product}/price-trend?until={text(until)}").json
        result = runner.invoke(args=["offers", "trend", str(product), "--until", until.strftime(form)])

        lines = dict(line.split(": ", 1) for line in result.output.splitlines())
        assert lines["first"] == f"10.00 EUR at {trend['first']['at']}"
        assert lines["last"] == f"9.50 EUR at {trend['last']['at']}"
        assert (lines["change"], lines["change percent"], lines["direction"]) == ("-0.50 EUR", "-5.0", "down")
        assert lines["average"] == f"{trend['average'] / 100:.2f} EUR"

    def test_of_the_command_needs_a_product(self, runner):
        result = runner.invoke(args=["offers", "trend", "00000000-0000-0000-0000-000000000000"])

        assert (result.exit_code, result.stderr) == (1, "Error: There is no such product.\n")


class TestInsights:
    def test_are_of_the_present_price_beside_those_before(self, visitor, product, began):
        assert visitor.get(f"/api/v1/products/{product}/price-insights").json == {
            "price": 950,
            "lowest_30_days": {"at": text(began + timedelta(hours=1)), "price": 900},
            "all_time_low": {"at": text(began + timedelta(hours=1)), "price": 900},
            "all_time_high": {"at": text(began + timedelta(hours=2)), "price": 1200},
            "changes": {"24h": {"change": 0, "change_percent": 0.0}, "7d": None, "30d": None},
            "position": 16.67,
            "own_price": None,
            "own_against_market": None,
        }

    def test_compare_the_houses_own_price(self, client, visitor, product):
        client.patch(f"/api/v1/products/{product}", json={"price": 1000})

        found = visitor.get(f"/api/v1/products/{product}/price-insights").json

        assert (found["own_price"], found["own_against_market"]) == (1000, {"difference": 50, "percent": 5.26})

    def test_answer_304_while_nothing_changes(self, visitor, product):
        path = f"/api/v1/products/{product}/price-insights"
        tag = visitor.get(path).headers["ETag"]

        assert visitor.get(path, headers={"If-None-Match": tag}).status_code == 304

    def test_of_no_product_are_a_404(self, visitor, runner):
        nobody = "00000000-0000-0000-0000-000000000000"

        assert visitor.get(f"/api/v1/products/{nobody}/price-insights").status_code == 404
        assert runner.invoke(args=["offers", "insights", nobody]).stderr == "Error: There is no such product.\n"

    @pytest.mark.parametrize(
        ("currency", "written"), [("JPY", "950 JPY"), ("KWD", "0.950 KWD"), ("EUR", "9.50 EUR"), ("CLF", "0.0950 CLF")]
    )
    def test_of_the_command_have_the_decimals_of_the_currency(self, make_app, product, currency, written):
        runner = make_app(currency=currency).test_cli_runner()

        assert runner.invoke(args=["offers", "insights", str(product)]).stdout.splitlines()[0] == f"price: {written}"

    def test_of_the_command_are_those_of_the_api(self, app, runner, product, began):
        edit(app, Product, Product.id == product, price=900)

        result = runner.invoke(args=["offers", "insights", str(product)])

        assert result.output.splitlines() == [
            "price: 9.50 EUR",
            f"lowest 30 days: 9.00 EUR at {text(began + timedelta(hours=1))}",
            f"all time low: 9.00 EUR at {text(began + timedelta(hours=1))}",
            f"all time high: 12.00 EUR at {text(began + timedelta(hours=2))}",
            "position: 16.67",
            "own price: 9.00 EUR",
            "own against market: -0.50 EUR (-5.26 %)",
            "change in 24h: +0.00 EUR (+0.00 %)",
            "change in 7d: null",
            "change in 30d: null",
        ]


@pytest.mark.parametrize("what", ["price-history", "price-trend"])
class TestWhatIsNotThere:
    def test_is_a_404(self, app, visitor, product, what):
        other = make_product(app)

        assert visitor.get(f"/api/v1/products/00000000-0000-0000-0000-000000000000/{what}").status_code == 404
        assert visitor.get(f"/api/v1/products/{other}/offers/{A}/{what}").status_code == 404
        assert visitor.get(f"/api/v1/products/{product}/offers/%00/{what}").status_code == 404

    @pytest.mark.parametrize(
        "query",
        [
            "since=2026-01-01T00:00:00",
            "since=yesterday",
            "since=0001-01-01T00:00:00Z",
            "until=9999-12-31T23:59:59-12:00",
            "since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z",
            "since=9000-01-01T00:00:00Z",
            "period=1d",
        ],
    )
    def test_is_a_422_as_a_period(self, visitor, product, what, query):
        response = visitor.get(f"/api/v1/products/{product}/{what}?{query}")

        assert (response.status_code, list(response.json["errors"])) == (422, ["query"])


@pytest.mark.parametrize("query", ["interval=week", "interval=hour&since=1970-01-01T00:00:00Z"])
def test_an_interval_that_is_unknown_or_too_short_is_a_422(visitor, product, query):
    response = visitor.get(f"/api/v1/products/{product}/price-history?{query}")

    assert (response.status_code, list(response.json["errors"]["query"])) == (422, ["interval"])
