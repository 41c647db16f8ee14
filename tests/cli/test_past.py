"""The past that samples can be given."""

from datetime import timedelta

from aggregator.cli.past import STEP, live_through
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.services import audit, catalog, price_reads, samples
from aggregator.services.price_series import Series


def history(app, product_id, now):
    with app.app_context():
        series = Series.of_product(product_id)
        return price_reads.trend(series, price_reads.period(now, now - timedelta(days=2), now))


def add(app, count):
    with app.app_context():
        products = list(samples.products(count))
        in_transaction(lambda: catalog.add_missing(products, utcnow()))
        return [product["id"] for product in products]


def test_samples_get_a_past_in_which_all_rules_of_the_data_hold(app):
    ids, now = add(app, 3), utcnow()

    with app.app_context():
        steps = list(live_through(ids, 3, 1_000, now))
        violations = [found for rule in audit.RULES for found in audit.violations(rule)]

    assert steps == list(range(timedelta(days=3) // STEP, -1, -1))
    assert violations == []
    assert '"enough_data":true' in history(app, ids[0], now)


def test_what_has_been_synced_keeps_its_own_past(app):
    ids, now = add(app, 2), utcnow()
    with app.app_context():
        list(live_through(ids, 1, 1_000, now))
    before = history(app, ids[0], now)

    with app.app_context():
        assert list(live_through(ids, 3, 5_000, now)) == []

    assert history(app, ids[0], now) == before
