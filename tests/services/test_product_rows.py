"""Rows of files, and what is wrong with them."""

import json
from uuid import UUID

import pytest

from aggregator.errors import UsageError
from aggregator.services.product_fields import CategoryName
from aggregator.services.product_rows import Rejected, Row, csv_rows, json_rows

ID = "e262b9d9-687b-44d1-9202-6b0e85f84b4e"
RATING = "rating: Must be a number from 0 to 5."
PRICE = f"price: Must be a whole number from 0 to {10**12}."


def of_csv(text: str) -> list:
    return list(csv_rows(text.splitlines(keepends=True)))


def of_json(*objects) -> list:
    return list(json_rows(f"{json.dumps(each)}\n" for each in objects))


class TestCsv:
    def test_rows_say_what_their_columns_name(self):
        text = f"id,name,description,brand,category,price,stock,rating\n{ID},Lamp,Warm,Aurelo,lamps,1999,3,4.5\n"

        assert of_csv(text) == [
            Row(
                2,
                {
                    "id": UUID(ID),
                    "name": "Lamp",
                    "description": "Warm",
                    "brand": "Aurelo",
                    "category": CategoryName(slug="lamps"),
                    "price": 1999,
                    "stock": 3,
                    "rating": 4.5,
                },
            )
        ]

    def test_an_empty_cell_is_no_value_and_of_a_description_an_empty_one(self):
        text = "id,name,description,brand,category,price,stock,rating\n,Lamp,,,,,,\n"

        (row,) = of_csv(text)
        nothing = dict.fromkeys(("brand", "category", "price", "rating"))
        assert row.fields == {"name": "Lamp", "description": ""} | nothing

    def test_quotes_hold_commas_and_lines_together(self):
        first, second = of_csv('name,description\n"a, ""b""","two\nlines"\nc,d\n')

        assert (first.fields, first.line) == ({"name": 'a, "b"', "description": "two\nlines"}, 2)
        assert second.line == 4

    @pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\t1"])
    def test_what_was_defused_is_as_it_was(self, name):
        (row,) = of_csv(f'name\n"\'{name}"\n')

        assert row.fields == {"name": name}

    def test_an_apostrophe_of_ones_own_stays(self):
        (row,) = of_csv("name\n'tis a lamp\n")

        assert row.fields == {"name": "'tis a lamp"}

    def test_what_an_export_shows_beside_is_passed_over(self):
        (row,) = of_csv("name,lowest_price,offer_count,created_at,history_at\nLamp,5,1,x,y\n")

        assert row.fields == {"name": "Lamp"}

    @pytest.mark.parametrize(
        ("line", "reasons"),
        [
            ("Lamp,abc,", [PRICE]),
            ("Lamp,1.5,", [PRICE]),
            ("Lamp,-1,", [PRICE]),
            (f"Lamp,{10**12 + 1},", [PRICE]),
            (f"Lamp,{'9' * 5000},", [PRICE]),
            ("Lamp,5,6", [RATING]),
            ("Lamp,5,nan", [RATING]),
            ("Lamp,5,good", [RATING]),
            (",5,", ["name: Must be a text of 1 to 255 characters."]),
            (
                f"{'x' * 256},x,9",
                ["name: Must be a text of 1 to 255 characters.", PRICE, "rating: Must be a number from 0 to 5."],
            ),
            ("a\0b,5,", ["name: Contains a character that cannot be stored."]),
            ("Lamp,5", ["2 cells for 3 columns."]),
            ("Lamp,5,1,2", ["4 cells for 3 columns."]),
        ],
    )
    def test_a_bad_row_is_named_with_all_its_reasons(self, line, reasons):
        bad, good = of_csv(f"name,price,rating\n{line}\nChair,1,2\n")

        assert bad == Rejected(2, tuple(reasons))
        assert good.fields["name"] == "Chair"

    def test_a_field_without_end_is_one_bad_row(self):
        rows = of_csv('name\n"' + "x" * 200_000 + "\n")

        assert [type(row) for row in rows] == [Rejected]

    def test_a_first_line_without_end_is_told_at_once(self):
        with pytest.raises(UsageError, match="The first line has to name columns"):
            of_csv("x" * 200_000 + "\n")

    @pytest.mark.parametrize("header", ["", "description", "name,colour", "name,name"])
    def test_columns_that_make_no_sense_are_told_at_once(self, header):
        with pytest.raises(UsageError, match="The first line has to name columns"):
            of_csv(f"{header}\nx,y\n")

    def test_empty_lines_are_none(self):
        assert len(of_csv("name\n\nLamp\n\n")) == 1


class TestJsonLines:
    def test_rows_are_objects(self):
        assert of_json({"name": "Lamp", "price": None, "stock": 3}) == [
            Row(1, {"name": "Lamp", "price": None, "stock": 3})
        ]

    def test_a_product_as_the_api_shows_it_will_do(self):
        shown = {"id": ID, "name": "Lamp", "category": {"id": ID, "name": "Lamps", "slug": "lamps"}, "offer_count": 2}

        assert of_json(shown) == [Row(1, {"id": UUID(ID), "name": "Lamp", "category": CategoryName(UUID(ID), "lamps")})]

    @pytest.mark.parametrize("line", ["{", "[]", "5", '{"name": NaN}', "[" * 100_000, '{"name": ' + "1" * 5000 + "}"])
    def test_what_is_no_object_is_a_bad_row(self, line):
        bad, good = json_rows([line + "\n", '{"name": "Lamp"}\n'])

        assert (type(bad), bad.line, good.line) == (Rejected, 1, 2)

    @pytest.mark.parametrize(
        ("row", "reasons"),
        [
            ({"name": "Lamp", "colour": "red"}, ["colour: Unknown."]),
            ({"name": "Lamp", "price": True}, [PRICE]),
            ({"name": "Lamp", "price": "5"}, [PRICE]),
            ({"name": 5}, ["name: Must be a text of 1 to 255 characters."]),
            ({"id": "5"}, ["id: Must be a UUID."]),
            ({"price": 5}, ["Neither an id nor a name."]),
            ({"name": "Lamp", "category": 5}, ["category: Must be a text of 1 to 120 characters."]),
            ({"name": "\ud800"}, ["name: Contains a character that cannot be stored."]),
        ],
    )
    def test_a_bad_one_is_named_with_its_reasons(self, row, reasons):
        assert of_json(row) == [Rejected(1, tuple(reasons))]

    def test_empty_lines_count_but_are_no_rows(self):
        assert list(json_rows(["\n", '{"name": "Lamp"}\n'])) == [Row(2, {"name": "Lamp"})]
