"""flask offers: keep offers up to date by hand."""

from uuid import uuid4

import pytest

from aggregator.clock import utcnow
from aggregator.models import Feed, Offer, Registration
from tests.builders import claim, create, make_product, stored, the_feed


@pytest.fixture
def product(client):
    """A product that the service knows."""
    return create(client).json["id"]


def run(runner, *arguments: str):
    return runner.invoke(args=["offers", "sync", *arguments])


def test_syncs_what_is_due_and_tells_what_was_done(app, runner, sandbox, product):
    count = len(sandbox.offers_of(product))

    result = run(runner)

    assert (result.exit_code, result.stdout) == (0, f"synced: 1\noffers added: {count}\n")
    assert len(stored(app, Offer)) == count


def test_registers_what_is_pending_and_syncs_it(app, runner, sandbox):
    pending = make_product(app, feed={"status": Registration.PENDING, "registered_with": None})

    result = run(runner)

    assert result.exit_code == 0
    assert "registered: 1\n" in result.stdout
    assert str(pending) in sandbox.registered


def test_nothing_due_is_no_failure(runner):
    result = run(runner)

    assert (result.exit_code, result.stdout) == (0, "Nothing was due.\n")


def test_the_bar_is_not_in_the_way_of_what_is_said(runner, product):
    assert "Syncing" not in run(runner).stdout


class TestOneProduct:
    def test_is_synced_due_or_not(self, app, runner, sandbox, product):
        run(runner)
        sandbox.advance()

        result = run(runner, "--product", product)

        assert result.exit_code == 0
        assert result.stdout.startswith("synced: 1\n")
        assert {offer.upstream_id: offer.price for offer in stored(app, Offer, Offer.last_seen_at.is_(None))} == {
            offer["id"]: offer["price"] for offer in sandbox.offers_of(product)
        }

    def test_and_no_other(self, app, client, runner, product):
        other = create(client).json["id"]
        run(runner, "--product", product)

        assert {str(offer.product_id) for offer in stored(app, Offer)} == {product}
        assert the_feed(app, other).synced_at is None

    def test_one_that_is_not_there_is_a_failure(self, runner):
        result = run(runner, "--product", str(uuid4()))

        assert (result.exit_code, result.stdout) == (1, "There is no such product, or it is being synced.\n")

    def test_so_is_one_that_somebody_else_is_working_on(self, app, runner, product):
        claim(app, product)

        assert run(runner, "--product", product).exit_code == 1

    def test_what_is_no_id_is_a_usage_error(self, runner):
        assert run(runner, "--product", "lamp").exit_code == 2


class TestFailures:
    def test_a_product_that_could_not_be_synced_is_counted_and_the_exit_code_is_1(self, app, runner, sandbox, product):
        sandbox.faults = ["500@offers"]

        result = run(runner)

        assert result.exit_code == 1
        assert "failed: 1\n" in result.stdout
        assert the_feed(app, product).failure == "it answered 500"

    def test_so_is_one_that_could_not_be_registered(self, app, runner, sandbox):
        make_product(app, feed={"status": Registration.PENDING})
        sandbox.faults = ["500@register"]

        result = run(runner)

        assert result.exit_code == 1
        assert "not registered: 1\n" in result.stdout

    def test_and_one_that_the_service_refuses(self, app, runner, sandbox):
        make_product(app, feed={"status": Registration.PENDING})
        sandbox.faults = ["422@register"]

        result = run(runner)

        assert result.exit_code == 1
        assert "refused: 1\n" in result.stdout

    def test_a_service_that_gives_no_token_is_named(self, app, runner, sandbox):
        make_product(app)
        sandbox.faults = ["401@auth"]

        result = run(runner)

        assert result.exit_code == 1
        assert "problem: the credentials are refused\n" in result.stdout

    def test_what_was_stored_stays(self, app, runner, sandbox, product):
        run(runner)
        before = [(offer.upstream_id, offer.price, offer.last_seen_at) for offer in stored(app, Offer)]
        sandbox.faults = ["broken-json@offers"]

        run(runner, "--product", product)

        assert [(offer.upstream_id, offer.price, offer.last_seen_at) for offer in stored(app, Offer)] == before


def test_all_claims_are_given_back(app, runner, sandbox, product):
    sandbox.faults = ["500@offers"]
    run(runner)

    (feed,) = stored(app, Feed)
    assert (feed.claimed_by, feed.claimed_until) == (None, None)
    assert feed.due_at > utcnow()
