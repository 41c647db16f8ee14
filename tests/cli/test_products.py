"""flask products: fill the catalogue from the shell."""

import json
from uuid import uuid4

import pytest

from aggregator.cli import products
from aggregator.models import Category, Feed, Image, Order, Product, Registration
from aggregator.services import samples
from tests.builders import make_order, make_product, make_user, stored
from tests.pictures import read


def run(runner, *arguments: str):
    return runner.invoke(args=["products", "add-samples", *arguments])


def test_adds_products_for_the_worker_to_register(app, runner, sandbox):
    result = run(runner, "5")

    assert (result.exit_code, result.stdout) == (
        0,
        "Added 5 products and 5 pictures, 0 products were there already.\n",
    )
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

    assert result.stdout == "Added 3 products and 3 pictures, 5 products were there already.\n"
    assert len(stored(app, Product)) == 8


def test_another_seed_adds_others(app, runner):
    run(runner, "5")

    assert run(runner, "5", "--seed", "2").stdout == "Added 5 products and 5 pictures, 0 products were there already.\n"


def test_more_than_fit_in_a_batch_and_a_list_begins_with_those_that_have_pictures(app, runner, visitor, monkeypatch):
    monkeypatch.setattr(products, "BATCH", 100)
    monkeypatch.setattr(products, "ILLUSTRATED", 3)

    said = run(runner, "250").stdout

    assert said == "Added 250 products and 3 pictures, 0 products were there already.\n"
    assert {image.product_id for image in stored(app, Image)} == {each["id"] for each in samples.products(3)}
    newest = {product["id"] for product in visitor.get("/api/v1/products?page_size=100").json}
    assert newest == {str(product["id"]) for product in samples.products(100)}
    assert len(stored(app, Product)) == 250


class TestPictures:
    def test_are_made_by_the_worker_as_those_that_are_uploaded(self, app, runner, visitor):
        run(runner, "2")
        assert [image.status for image in stored(app, Image)] == ["pending"] * 2

        runner.invoke(args=["jobs", "run", "make-images"])

        shown = [product["images"] for product in visitor.get("/api/v1/products").json]
        assert [len(images) for images in shown] == [1, 1]
        for (image,) in shown:
            assert read(visitor.get(image["thumb_url"]).data).size == (100, 100)
            assert read(visitor.get(image["full_url"]).data).size == (500, 500)

    def test_are_given_once_and_not_again_to_a_product_from_which_one_was_taken(self, app, runner, client):
        run(runner, "3")
        gone, *others = stored(app, Image)
        client.delete(f"/api/v1/images/{gone.id}")

        assert run(runner, "3").stdout == "Added 0 products and 0 pictures, 3 products were there already.\n"
        assert {image.id for image in stored(app, Image)} == {image.id for image in others}

    def test_are_given_to_samples_that_were_left_without(self, app, runner):
        for product in samples.products(2):
            make_product(app, id=product["id"], name=product["name"])

        assert run(runner, "3").stdout == "Added 1 products and 3 pictures, 2 products were there already.\n"

    def test_need_a_place_where_images_are_kept(self, make_app, tmp_path):
        (tmp_path / "images").touch()
        runner = make_app(image_store=str(tmp_path / "images")).test_cli_runner()

        result = run(runner, "1")

        assert result.exit_code == 1
        assert "Error: The images cannot be reached just now. Try again in a moment." in result.stderr


@pytest.mark.parametrize("count", ["0", "-1", "1000001", "many", "", "1_0", "５", " 5", "+5"])  # noqa: RUF001
def test_a_count_that_makes_no_sense_is_a_usage_error(app, runner, count):
    result = run(runner, "--", count)

    assert result.exit_code == 2
    assert stored(app, Product) == []


class TestStock:
    def test_prints_every_change_and_what_it_came_to(self, app, runner):
        product = make_product(app, price=5, stock=10)
        order = make_order(app, make_user(app), {product: 4})
        (code,) = [each.code for each in stored(app, Order, Order.id == order)]

        lines = run_stock(runner, str(product)).stdout.splitlines()

        assert [line.split()[1:] for line in lines] == [["initial", "+10", "10"], ["sale", "-4", "6", code]]

    def test_of_a_product_that_never_had_any_is_empty(self, app, runner):
        assert run_stock(runner, str(make_product(app))).stdout == ""

    def test_of_no_product_is_an_error(self, app, runner):
        result = run_stock(runner, str(uuid4()))

        assert (result.exit_code, result.stderr) == (1, "Error: There is no such product.\n")


def run_stock(runner, *arguments: str):
    return runner.invoke(args=["products", "stock", *arguments])


class TestExport:
    def test_goes_by_the_name_of_the_file(self, app, runner, tmp_path):
        make_product(app, name="Lamp")
        for name, begin in (("a.csv", "id,name,"), ("a.tsv", "id\tname\t"), ("a.jsonl", '{"id":')):
            self.export(runner, str(tmp_path / name))
            assert (tmp_path / name).read_text().startswith(begin)
        self.export(runner, str(tmp_path / "a.csv"), "--format", "jsonl")

        assert (tmp_path / "a.csv").read_text().startswith('{"id":')

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

    def test_reads_standard_input_in_the_form_that_is_said(self, app, runner):
        arguments = ["products", "import", "-"]

        result = runner.invoke(args=[*arguments, "--format", "csv"], input="name,price\nLamp,5\n")

        assert (result.exit_code, result.stdout) == (0, "1 added, 0 updated, 0 unchanged, 0 rejected.\n")
        assert runner.invoke(args=arguments, input="name\nChair\n").exit_code == 2
        assert [product.name for product in stored(app, Product)] == ["Lamp"]

    @pytest.mark.parametrize("name", ["p.csv.gz", "p.tsv", "p.tsv.gz", "p.ndjson", "p.jsonl.gz"])
    def test_brings_back_what_was_exported_to_a_file_of_that_name(self, app, runner, tmp_path, name):
        make_product(app, name='5" pipe, ø', description="two\nlines\tand a tab", rating=0.00001)
        file = str(tmp_path / name)

        assert runner.invoke(args=["products", "export", file]).exit_code == 0

        assert self.run(runner, file).stdout == "0 added, 0 updated, 1 unchanged, 0 rejected.\n"

    @pytest.mark.parametrize("name", ["p.txt", "p.xlsx", "p.json", "p", "p.csv.zip"])
    def test_refuses_names_that_do_not_say_what_is_in_a_file(self, app, runner, tmp_path, name):
        file = tmp_path / name
        file.write_text("name\nLamp\n")

        for command in ("import", "export"):
            result = runner.invoke(args=["products", command, str(file)])
            assert (result.exit_code, "does not say what is in it" in result.stderr) == (2, True)
        assert file.read_text() == "name\nLamp\n"
        assert self.run(runner, str(file), "--format", "csv").exit_code == 0

    def test_refuses_what_only_its_name_says_to_be_compressed(self, runner, tmp_path):
        (tmp_path / "p.csv.gz").write_text("name\nLamp\n")

        result = self.run(runner, str(tmp_path / "p.csv.gz"))

        last = result.stderr.splitlines()[-1]
        assert last == "Error: The name 'p.csv.gz' says that it is compressed, and it is not."

    def test_reads_the_encoding_that_is_said(self, app, runner, tmp_path):
        file = tmp_path / "p.csv"
        file.write_bytes("name\nŽárovka\n".encode("cp1250"))

        assert self.run(runner, str(file), "--encoding", "klingon").exit_code == 2
        assert self.run(runner, str(file), "--encoding", "windows-1250").exit_code == 0
        assert [product.name for product in stored(app, Product)] == ["Žárovka"]

    @pytest.mark.parametrize("content", [b"colour\nred\n", b"name,name\n"])
    def test_a_file_that_makes_no_sense_is_told(self, runner, tmp_path, content):
        file = tmp_path / "products.csv"
        file.write_bytes(content)

        result = self.run(runner, str(file))

        assert result.exit_code == 1
        assert "Error: " in result.stderr
