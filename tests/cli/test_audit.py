"""flask audit: is the data as it must be?"""

from aggregator.models import Product
from aggregator.services import audit
from tests.builders import edit, make_product


def test_says_that_all_rules_hold_where_they_do(app, runner):
    make_product(app, stock=3)

    result = runner.invoke(args=["audit"])

    assert (result.exit_code, result.stdout) == (0, f"All {len(audit.RULES)} rules hold.\n")


def test_a_line_for_each_violation_and_exit_code_1(app, runner):
    products = [make_product(app, stock=3) for _ in range(2)]
    edit(app, Product, stock=4)

    result = runner.invoke(args=["audit"])

    assert result.exit_code == 1
    words = "The stock of a product is the sum of its movements."
    expected = {f"stock-explained: product {product}, stock 4, movements 3. {words}" for product in products}
    assert set(result.stdout.splitlines()) == expected
