"""flask products: fill the catalogue from the shell."""

import pytest

from aggregator.models import Feed, Product, Registration
from aggregator.services import samples
from tests.builders import stored


def run(runner, *arguments: str):
    return runner.invoke(args=["products", "add-samples", *arguments])


def test_adds_products_for_the_worker_to_register(app, runner, sandbox):
    result = run(runner, "5")

    assert (result.exit_code, result.stdout) == (0, "Added 5 products, 0 were there already.\n")
    assert {product.name for product in stored(app, Product)} == {product["name"] for product in samples.products(5)}
    assert {feed.status for feed in stored(app, Feed)} == {Registration.PENDING}
    assert sandbox.calls == []


def test_those_that_are_there_already_are_left_alone(app, runner):
    run(runner, "5")

    result = run(runner, "8")

    assert result.stdout == "Added 3 products, 5 were there already.\n"
    assert len(stored(app, Product)) == 8


def test_another_seed_adds_others(app, runner):
    run(runner, "5")

    assert run(runner, "5", "--seed", "2").stdout == "Added 5 products, 0 were there already.\n"


def test_more_than_fit_in_a_batch(app, runner):
    assert run(runner, "1200").stdout == "Added 1200 products, 0 were there already.\n"
    assert len(stored(app, Product)) == 1200


@pytest.mark.parametrize("count", ["0", "-1", "1000001", "many", ""])
def test_a_count_that_makes_no_sense_is_a_usage_error(app, runner, count):
    result = run(runner, "--", count)

    assert result.exit_code == 2
    assert stored(app, Product) == []
