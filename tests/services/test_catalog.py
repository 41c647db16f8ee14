"""What can be done with products, whoever asks for it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.database import transaction
from aggregator.errors import Conflict, EditedMeanwhile, NotFound
from aggregator.models import Feed, Offer, PricePoint, Product, ProductPricePoint, Registration
from aggregator.services import catalog, samples
from tests.builders import (
    before,
    claim,
    edit,
    make_offer,
    make_product,
    offer_id,
    stored,
    sync,
    the_feed,
)

pytestmark = pytest.mark.usefixtures("context")


class TestAdd:
    def test_a_new_product_is_pending_and_due(self, app, now):
        product_id = uuid4()
        with transaction():
            catalog.add(product_id, {"name": "Lamp", "description": "Warm"}, now)

        (product,), feed = stored(app, Product), the_feed(app, product_id)
        assert (product.id, product.name, product.description, product.stock) == (product_id, "Lamp", "Warm", 0)
        assert (product.version, product.created_at, product.updated_at, product.deleted_at) == (1, now, now, None)
        assert (feed.status, feed.attempts, feed.id_is_ours, feed.claimed_by) == (Registration.PENDING, 0, True, None)
        assert claim(app, product_id)[0].product_id == str(product_id)

    def test_whose_id_it_is_is_remembered(self, app, now):
        product_id = uuid4()
        with transaction():
            catalog.add(product_id, {"name": "Lamp", "description": ""}, now, id_is_ours=False)

        assert the_feed(app, product_id).id_is_ours is False

    def test_a_name_or_an_id_in_use_is_a_conflict(self, app, now):
        taken = make_product(app, name="Lamp")

        with pytest.raises(Conflict, match="named 'Lamp' already"), transaction():
            catalog.add(uuid4(), {"name": "Lamp", "description": ""}, now)
        with pytest.raises(Conflict, match="this id already"), transaction():
            catalog.add(taken, {"name": "Chair", "description": ""}, now)
        assert len(stored(app, Product)) == len(stored(app, Feed)) == 1


class TestAddMissing:
    def test_adds_those_that_are_not_there(self, app, now):
        first, more = list(samples.products(3)), list(samples.products(5))
        with transaction():
            assert catalog.add_missing(first, now) == 3
        with transaction():
            assert catalog.add_missing(more, now) == 2
        with transaction():
            assert catalog.add_missing(more, now) == 0

        assert {product.name for product in stored(app, Product)} == {product["name"] for product in more}
        assert {feed.status for feed in stored(app, Feed)} == {Registration.PENDING}
        assert len(stored(app, Feed)) == 5

    def test_a_name_in_use_is_left_alone_and_a_free_one_is_not(self, app, now):
        make_product(app, name="Lamp")
        gone = make_product(app, name="Chair")
        with transaction():
            catalog.remove(gone, now)
        products = [{"id": uuid4(), "name": name, "description": ""} for name in ("Lamp", "Chair", "Table", "Table")]

        with transaction():
            assert catalog.add_missing(products, now) == 2

        living = [product.name for product in stored(app, Product, Product.deleted_at.is_(None))]
        assert sorted(living) == ["Chair", "Lamp", "Table"]


class TestChange:
    def test_an_edit_counts_and_is_dated(self, app, now):
        product_id = make_product(app, stock=1)
        with transaction():
            catalog.change(product_id, {"stock": 2, "price": 5}, now)

        (product,) = stored(app, Product)
        assert (product.stock, product.price, product.version, product.updated_at) == (2, 5, 2, now)

    def test_what_is_so_already_is_no_edit(self, app, now):
        product_id = make_product(app, stock=1)
        with transaction():
            catalog.change(product_id, {"stock": 1}, now)

        (product,) = stored(app, Product)
        assert (product.version, product.updated_at < now) == (1, True)

    def test_an_edit_of_an_older_version_is_refused(self, app, now):
        product_id = make_product(app)
        with transaction():
            catalog.change(product_id, {"stock": 1}, now, versions=[1])

        with pytest.raises(EditedMeanwhile), transaction():
            catalog.change(product_id, {"stock": 2}, now, versions=[1])
        assert [(product.stock, product.version) for product in stored(app, Product)] == [(1, 2)]

    def test_an_edit_of_one_of_several_versions_is_made(self, app, now):
        product_id = make_product(app)
        for stock, versions in enumerate(([1], {7, 2}, (None, 3), None), 1):
            with transaction():
                catalog.change(product_id, {"stock": stock}, now, versions)

            assert [(product.stock, product.version) for product in stored(app, Product)] == [(stock, stock + 1)]

    @pytest.mark.parametrize("versions", [[], [None], [2, 3], {0}])
    def test_an_edit_of_none_of_its_versions_is_refused(self, app, now, versions):
        product_id = make_product(app, stock=1)

        with pytest.raises(EditedMeanwhile), transaction():
            catalog.change(product_id, {"stock": 2}, now, versions)
        assert [(product.stock, product.version) for product in stored(app, Product)] == [(1, 1)]

    def test_an_older_version_is_refused_even_where_there_is_nothing_to_edit(self, app, now):
        product_id = make_product(app, stock=1)

        with pytest.raises(EditedMeanwhile), transaction():
            catalog.change(product_id, {"stock": 1}, now, versions=[2])

    @pytest.mark.parametrize("status", Registration)
    def test_only_a_refused_product_is_registered_again(self, app, now, status):
        product_id = make_product(app, feed={"status": status})
        with transaction():
            catalog.change(product_id, {"stock": 1}, now)

        expected = Registration.PENDING if status is Registration.REFUSED else status
        assert the_feed(app, product_id).status is expected

    def test_what_is_not_there_cannot_be_changed(self, now):
        with pytest.raises(NotFound), transaction():
            catalog.change(uuid4(), {"stock": 1}, now)


class TestRemove:
    def test_closes_the_offers_and_keeps_the_history(self, app, now):
        product_id = make_product(app)
        in_stock, sold_out = make_offer(app, product_id, price=500), make_offer(app, product_id, price=400, stock=0)
        with transaction():
            catalog.remove(product_id, now)

        offers = {offer.upstream_id: offer for offer in stored(app, Offer)}
        assert {(offer.last_seen_at, offer.items_in_stock) for offer in offers.values()} == {(now, 0)}
        assert offers[in_stock].sold_out_at == now
        assert offers[sold_out].sold_out_at < now
        points = stored(app, PricePoint, PricePoint.observed_at == now)
        assert [(point.offer_id, point.price) for point in points] == [(offers[in_stock].id, None)]
        summaries = [(p.observed_at, p.lowest_price, p.offer_count) for p in stored(app, ProductPricePoint)]
        assert summaries == [(now, None, 0)]
        assert stored(app, Feed) == []

    def test_one_without_offers_leaves_no_summary(self, app, now):
        product_id = make_product(app)
        with transaction():
            catalog.remove(product_id, now)

        assert stored(app, ProductPricePoint) == []

    @pytest.mark.parametrize("earlier", [0, 1, 3600])
    def test_comes_after_the_latest_sync_even_by_a_clock_that_is_behind(self, app, now, earlier):
        product_id = make_product(app)
        sync(app, product_id, {offer_id(1): (500, 2)}, now)
        with transaction():
            catalog.remove(product_id, before(now, seconds=earlier))

        first, last = stored(app, PricePoint)
        assert (first.observed_at, first.price, last.price) == (now, 500, None)
        assert last.observed_at > now
        assert [point.offer_count for point in stored(app, ProductPricePoint)] == [1, 0]

    @pytest.mark.parametrize("versions", [[2], [], [None], {0, 2}])
    def test_of_none_of_its_versions_is_refused(self, app, now, versions):
        product_id = make_product(app)
        with pytest.raises(EditedMeanwhile), transaction():
            catalog.remove(product_id, now, versions)

        assert stored(app, Product)[0].deleted_at is None
        assert len(stored(app, Feed)) == 1

    @pytest.mark.parametrize("versions", [[1], {7, 1}, (None, 1), None])
    def test_of_one_of_several_versions_is_made(self, app, now, versions):
        product_id = make_product(app)
        with transaction():
            catalog.remove(product_id, now, versions)

        assert stored(app, Product)[0].deleted_at == now

    def test_what_is_gone_cannot_be_removed_again(self, app, now):
        product_id = make_product(app)
        with transaction():
            catalog.remove(product_id, now)

        with pytest.raises(NotFound), transaction():
            catalog.remove(product_id, now + timedelta(1))
        assert stored(app, Product)[0].deleted_at == now


class TestWithdraw:
    def test_takes_back_a_product_without_a_trace(self, app, now):
        (claimed,) = claim(app, make_product(app))

        with transaction():
            assert catalog.withdraw(claimed, now)
        assert (stored(app, Product), stored(app, Feed)) == ([], [])

    def test_leaves_it_alone_where_the_claim_is_lost(self, app, now):
        (claimed,) = claim(app, make_product(app))
        edit(app, Feed, claimed_by="another")

        with transaction():
            assert not catalog.withdraw(claimed, now)
        assert len(stored(app, Product)) == 1
