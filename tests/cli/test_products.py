"""flask products: fill the catalogue from the shell."""

import json

import pytest

from aggregator.models import Category, Feed, Product, Registration
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


def test_they_are_in_categories(app, runner):
    run(runner, "12")
    run(runner, "13")

    categories = {category.id: category for category in stored(app, Category)}
    assert len(categories) == len(samples.CATEGORIES)
    assert {categories[product.category_id].slug for product in stored(app, Product)} == {
        slug for _, slug, *_ in samples.KINDS
    }


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


class TestExport:
    def export(self, runner, *arguments: str):
        return runner.invoke(args=["products", "export", *arguments])

    def test_writes_a_line_of_json_for_each_product(self, runner):
        run(runner, "3")

        result = self.export(runner)

        names = {json.loads(line)["name"] for line in result.stdout.splitlines()}
        assert names == {product["name"] for product in samples.products(3)}

    def test_writes_csv_to_a_file(self, runner, tmp_path):
        run(runner, "3")
        file = tmp_path / "products.csv"

        result = self.export(runner, str(file), "--format", "csv", "--with-history")

        header, *lines = file.read_text().splitlines()
        assert (result.exit_code, result.stdout) == (0, "")
        assert header.startswith("id,name,")
        assert header.endswith(",history_at,history_price")
        assert len(lines) == 3

    def test_of_an_empty_catalogue_is_empty(self, runner):
        assert self.export(runner).stdout == ""
        assert self.export(runner, "--format", "csv").stdout.count("\n") == 1


class TestImport:
    @pytest.fixture
    def file(self, tmp_path):
        file = tmp_path / "products.csv"
        file.write_text("name,price\nLamp,1999\nChair,abc\nTable,5\n")
        return str(file)

    def run(self, runner, *arguments: str):
        return runner.invoke(args=["products", "import", *arguments])

    def test_names_the_rows_that_will_not_do_and_imports_the_others(self, app, runner, file):
        result = self.run(runner, file)

        assert (result.exit_code, result.stdout) == (1, "2 added, 0 updated, 0 unchanged, 1 rejected.\n")
        assert "line 3: price: Must be a whole number" in result.stderr
        assert sorted(product.name for product in stored(app, Product)) == ["Lamp", "Table"]

    def test_can_be_tried(self, app, runner, file):
        result = self.run(runner, file, "--dry-run")

        assert result.stdout == "Would be: 2 added, 0 updated, 0 unchanged, 1 rejected.\n"
        assert stored(app, Product) == []

    def test_can_be_all_or_nothing(self, app, runner, file):
        result = self.run(runner, file, "--all-or-nothing")

        assert (result.exit_code, result.stdout) == (1, "0 added, 0 updated, 0 unchanged, 1 rejected.\n")
        assert stored(app, Product) == []

    def test_brings_back_what_was_exported(self, app, runner, tmp_path):
        run(runner, "3")
        for form in ("csv", "jsonl"):
            file = str(tmp_path / f"products.{form}")
            runner.invoke(args=["products", "export", file, "--format", form])

            assert self.run(runner, file).stdout == "0 added, 0 updated, 3 unchanged, 0 rejected.\n"

    @pytest.mark.parametrize("content", [b"colour\nred\n", b"name\n\xff\n"])
    def test_a_file_that_makes_no_sense_is_told(self, runner, tmp_path, content):
        file = tmp_path / "products.csv"
        file.write_bytes(content)

        result = self.run(runner, str(file))

        assert result.exit_code == 1
        assert "Error: " in result.stderr
