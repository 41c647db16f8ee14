"""Column types: what goes in comes out, on both databases alike."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
import sqlalchemy as sa

from aggregator.database import db, transaction
from aggregator.models import Feed, JobRun, Offer, Product, Registration, RunStatus
from tests.builders import LONG_AGO, edit, make_offer, make_product, stored

MOMENTS = [
    LONG_AGO,
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
]


class TestMoments:
    @pytest.mark.parametrize("moment", MOMENTS, ids=str)
    def test_come_back_to_the_microsecond_aware_and_in_utc(self, app, moment):
        make_product(app, created_at=moment)

        (product,) = stored(app, Product)
        assert product.created_at == moment
        assert product.created_at.tzinfo is UTC

    def test_of_another_zone_are_the_same_moment(self, app):
        prague = datetime(2026, 5, 4, 14, 0, tzinfo=timezone(timedelta(hours=2)))
        make_product(app, created_at=prague)

        (product,) = stored(app, Product)
        assert product.created_at == prague
        assert product.created_at.hour == 12

    def test_without_a_zone_are_refused(self, app):
        with pytest.raises(sa.exc.StatementError, match="a moment needs a time zone"):
            make_product(app, created_at=datetime(2026, 5, 4))

    def test_sort_and_compare_as_time_does(self, app):
        for moment in reversed(MOMENTS):
            make_product(app, created_at=moment)

        with app.app_context(), transaction():
            found = db.session.scalars(sa.select(Product.created_at).order_by(Product.created_at)).all()
            later = db.session.scalar(sa.select(sa.func.count()).where(Product.created_at > LONG_AGO))
        assert found == sorted(MOMENTS)
        assert later == 3


class TestIds:
    @pytest.mark.parametrize("given", [UUID(int=0), UUID(int=2**128 - 1), UUID("0a0b0c0d-0000-0000-0000-00000000000f")])
    def test_come_back_as_uuids(self, app, given):
        make_product(app, id=given)

        assert [product.id for product in stored(app, Product, Product.id == given)] == [given]
        assert len(stored(app, Product, Product.id == str(given))) == 1


class TestChecks:
    """What no rule of ours should let through, the database refuses."""

    @pytest.mark.parametrize(
        ("model", "values"),
        [
            (Product, {"name": ""}),
            (Product, {"name": "x" * 256}),
            (Product, {"description": "x" * 20_001}),
            (Product, {"brand": "x" * 121}),
            (Product, {"price": -1}),
            (Product, {"price": 10**12 + 1}),
            (Product, {"stock": -1}),
            (Product, {"stock": 10**9 + 1}),
            (Product, {"rating": 5.1}),
            (Product, {"rating": -0.1}),
            (Product, {"name": None}),
            (Offer, {"price": -1}),
            (Offer, {"items_in_stock": 10**9 + 1}),
            (Offer, {"upstream_id": "x" * 37}),
            (Feed, {"lowest_price": -1}),
            (Feed, {"offer_count": -1}),
        ],
    )
    def test_bad_values(self, app, model, values):
        make_offer(app, make_product(app))

        with pytest.raises((sa.exc.IntegrityError, sa.exc.DataError)):
            edit(app, model, **values)

    @pytest.mark.parametrize("statement", ["UPDATE feeds SET status = 'odd'", "UPDATE products SET stock = 'many'"])
    def test_what_is_written_past_the_models(self, app, statement):
        make_product(app)

        with pytest.raises(sa.exc.DatabaseError), app.app_context(), transaction():
            db.session.execute(sa.text(statement))

    def test_two_living_products_of_one_name(self, app):
        make_product(app, name="Lamp")
        with pytest.raises(sa.exc.IntegrityError):
            make_product(app, name="Lamp")

    def test_but_any_number_of_deleted_ones(self, app):
        for _ in range(3):
            make_product(app, name="Lamp", deleted_at=LONG_AGO)

        assert len(stored(app, Product)) == 3

    def test_the_same_offer_of_a_product_twice(self, app):
        product = make_product(app)
        make_offer(app, product, id="4711")
        with pytest.raises(sa.exc.IntegrityError):
            make_offer(app, product, id="4711")

    def test_an_offer_of_no_product(self, app):
        with pytest.raises(sa.exc.IntegrityError):
            make_offer(app, UUID(int=1))


class TestChoices:
    @pytest.mark.parametrize("status", Registration)
    def test_come_back_as_what_they_were(self, app, status):
        make_product(app, feed={"status": status})

        assert stored(app, Feed)[0].status is status

    def test_only_known_ones_are_taken(self, app, now):
        with pytest.raises(sa.exc.StatementError), app.app_context(), transaction():
            db.session.add(JobRun(job="a", worker="w", status="odd", started_at=now))
        assert [status.value for status in RunStatus] == ["running", "done", "failed"]
