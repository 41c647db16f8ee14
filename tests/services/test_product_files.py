"""Files of products as they come: forms, encodings, compression, and what is no such file."""

import gzip
import io

import pytest

from aggregator.errors import UsageError
from aggregator.services.product_fields import CategoryName
from aggregator.services.product_files import Form, codec_of, form_of, rows
from aggregator.services.product_rows import MAX_LINE, Rejected

CSV = "name,description\r\nCafé,d\r\n"


def read(content: bytes, form: Form = Form.CSV, encoding: str = "utf-8") -> list:
    codec = codec_of(encoding)
    assert codec is not None
    return list(rows(io.BufferedReader(io.BytesIO(content)), form, codec))


def names(found: list) -> list:
    return [row.reasons if isinstance(row, Rejected) else row.fields["name"] for row in found]


class TestEncodings:
    @pytest.mark.parametrize(
        "encoding",
        ["utf-8", "UTF-8", "utf8", "windows-1252", "ISO-8859-1", "iso-8859-2", "windows-1250", "utf-16", "UTF-16LE"],
    )
    def test_that_are_known_are_read(self, encoding):
        assert names(read(CSV.encode(encoding), encoding=encoding)) == ["Café"]

    def test_a_euro_in_what_is_called_latin1_is_a_euro(self):
        assert names(read(b"name\n5 \x80\n", encoding="iso-8859-1")) == ["5 €"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16le"])
    def test_a_mark_of_the_byte_order_is_no_part_of_the_first_name(self, encoding):
        text = CSV if encoding == "utf-16" else f"\ufeff{CSV}"

        assert names(read(text.encode(encoding), encoding=encoding)) == ["Café"]

    @pytest.mark.parametrize("encoding", ["", "klingon", "rot13", "idna", "utf-7", "base64", "unicode_escape", "\0"])
    def test_that_are_not_known_have_no_codec(self, encoding):
        assert codec_of(encoding) is None

    def test_bytes_of_another_one_cost_their_row(self):
        assert names(read(b"name\nCaf\xe9\nLamp\n")) == [("name: Is not UTF-8.",), "Lamp"]
        assert names(read(b"name\nCaf\x81\nLamp\n", encoding="windows-1252")) == [
            ("name: Is not in the encoding of the file.",),
            "Lamp",
        ]

    def test_a_file_in_another_one_is_refused_at_once(self):
        with pytest.raises(UsageError, match="It is not in the encoding that the file is read in"):
            read(CSV.encode("utf-16"))


class TestForms:
    @pytest.mark.parametrize(
        ("name", "form"),
        [
            ("a.csv", Form.CSV),
            ("A.CSV", Form.CSV),
            ("a.b.tsv", Form.TSV),
            ("a.jsonl", Form.JSON_LINES),
            ("a.ndjson.gz", Form.JSON_LINES),
            ("a.csv.gz", Form.CSV),
        ],
    )
    def test_go_by_the_name(self, name, form):
        assert form_of(name) is form

    @pytest.mark.parametrize("name", ["a.xlsx", "a.txt", "a.json", "a", "csv", "a.gz", "a.csv.zip", "-"])
    def test_that_nobody_knows_are_refused(self, name):
        with pytest.raises(UsageError, match="does not say what is in it"):
            form_of(name)

    @pytest.mark.parametrize(
        ("content", "form", "said"),
        [
            (b"PK\x03\x04rest", Form.CSV, "a ZIP archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Form.CSV, "an old Excel workbook"),
            (b'[{"name": "Lamp"}]', Form.JSON_LINES, "a JSON array"),
            (b' [\n{"name": "Lamp"}]', Form.JSON_LINES, "a JSON array"),
            (b'{"name": "Lamp"}\n', Form.CSV, "holds JSON, not CSV"),
            (b"name,price\nLamp,5\n", Form.JSON_LINES, "holds CSV, not lines of JSON"),
        ],
    )
    def test_that_the_content_contradicts_are_refused(self, content, form, said):
        with pytest.raises(UsageError, match=said):
            read(content, form)


class TestCompression:
    def test_is_undone(self):
        assert names(read(gzip.compress(CSV.encode()))) == ["Café"]

    def test_that_is_damaged_is_said(self):
        packed = gzip.compress(("name\n" + "Lamp\n" * 5_000).encode())

        for damaged in (packed[:-9], packed[:20], packed[:30] + b"x" + packed[31:]):
            with pytest.raises(UsageError, match="compressed, and damaged"):
                read(damaged)


class TestColumns:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_are_separated_as_the_first_line_says(self, delimiter):
        text = "name,description,price\nLamp,d,5\n".replace(",", delimiter)

        assert [row.fields["price"] for row in read(text.encode())] == [5]

    @pytest.mark.parametrize(
        "text",
        [
            "name,description,price,,\nTrail,d,100,,\n",
            "name,description,price,,\nTrail,d,100\n",
            "name,description,price\nTrail,d,100,,,\n",
            "name,,description,price\nTrail,,d,100\n",
            "name,description,price, \nTrail,d,100, \n\n,,,\n,,\n",
        ],
    )
    def test_and_rows_that_a_spreadsheet_leaves_behind_are_none(self, text):
        (row,) = read(text.encode())

        assert row.fields == {"name": "Trail", "description": "d", "price": 100}

    def test_without_a_name_may_have_nothing_in_them(self):
        assert names(read(b"name,,price\nLamp,x,5\nChair,,5,y\n")) == [
            ("There is something in a column without a name.",),
            ("4 cells for 3 columns.",),
        ]


class TestNumbers:
    @pytest.mark.parametrize("cell", ["1_0", "１", "٣", " 5", "5 ", "+5", "1e3", "5.0", "inf", "0x5", "5\u200b"])  # noqa: RUF001
    def test_in_other_spellings_are_refused(self, cell):
        (row,) = read(f"name,price\nLamp,{cell}\n".encode())

        assert row.reasons == (f"price: Must be a whole number from 0 to {10**12}.",)

    @pytest.mark.parametrize("cell", ["4_0", "４", " 4", "+4", "4e0", "inf", "nan", ".5", "4,5"])  # noqa: RUF001
    def test_of_ratings_too(self, cell):
        (row,) = read(f"name\trating\nLamp\t{cell}\n".encode())

        assert row.reasons == ("rating: Must be a number from 0 to 5.",)

    def test_of_json_may_be_written_as_fractions_where_they_are_whole(self):
        (row,) = read(b'{"name": "Lamp", "price": 100.0, "stock": 5.0, "rating": 4}\n', Form.JSON_LINES)

        assert repr(row.fields) == "{'name': 'Lamp', 'price': 100, 'stock': 5, 'rating': 4.0}"


class TestJson:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ('{"name": "Lamp", "name": "Chair"}', "A key stands twice in one object."),
            ('{"name": "Lamp", "category": {"slug": "a", "slug": "b"}}', "A key stands twice in one object."),
            ('{"name": "Lamp", "rating": 1e999}', "Not a JSON object."),
            ('{"name": "Lamp", "rating": NaN}', "Not a JSON object."),
            ('{"name": "Lamp", "price": 100.5}', f"price: Must be a whole number from 0 to {10**12}."),
            ('{"name": "Lamp", "stock": null}', f"stock: Must be a whole number from 0 to {10**9}."),
            ('{"id": null, "name": "Lamp"}', "id: Must be a UUID."),
            ('{"id": "{e262b9d9-687b-44d1-9202-6b0e85f84b4e}"}', "id: Must be a UUID."),
            ('{"id": "e262b9d9687b44d192026b0e85f84b4e"}', "id: Must be a UUID."),
        ],
    )
    def test_that_can_be_read_in_two_ways_is_refused(self, line, reason):
        (row,) = read(f"{line}\n".encode(), Form.JSON_LINES)

        assert row.reasons == (reason,)

    def test_a_line_without_end_is_one_bad_row(self):
        lines = b'{"name": "A"}\n{"name": "' + b"x" * (2 * MAX_LINE) + b'"}\r\n{"name": "B"}\n'

        assert names(read(lines, Form.JSON_LINES)) == ["A", ("Not a JSON object.",), "B"]


ID = "e262b9d9-687b-44d1-9202-6b0e85f84b4e"


class TestCategories:
    def of(self, category: str):
        (row,) = read(f'{{"name": "Lamp", {category}}}\n'.encode(), Form.JSON_LINES)
        return row.reasons if isinstance(row, Rejected) else row.fields["category"]

    def test_are_named_by_id_or_slug_or_both(self):
        by_id = CategoryName(id=row_id())

        assert self.of('"category": "lamps"') == self.of('"category": {"slug": "lamps"}') == CategoryName(slug="lamps")
        assert self.of(f'"category": "{ID}"') == self.of(f'"category": {{"id": "{ID}", "name": "Kettles"}}') == by_id
        assert self.of(f'"category_id": "{ID}"') == by_id
        assert self.of('"category": null') is self.of('"category_id": null') is None

    @pytest.mark.parametrize(
        ("category", "reason"),
        [
            ('"category": {}', "category: It has neither an id nor a slug."),
            ('"category": {"name": "Kettles"}', "category: It has neither an id nor a slug."),
            ('"category": {"id": null}', "category: Must be a UUID."),
            ('"category": {"id": "5", "slug": "lamps"}', "category: Must be a UUID."),
            ('"category": {"slug": "lamps", "colour": 1}', "category: 'colour' is unknown."),
            ('"category": {"slug": null}', "category: Must be a text of 1 to 120 characters."),
            ('"category": ""', "category: Must be a text of 1 to 120 characters."),
            ('"category": ["lamps"]', "category: Must be a text of 1 to 120 characters."),
            ('"category_id": "lamps"', "category_id: Must be a UUID."),
            ('"category": null, "category_id": null', "category_id: Either it or category."),
        ],
    )
    def test_that_say_nothing_are_refused(self, category, reason):
        assert self.of(category) == (reason,)


def row_id():
    (row,) = read(f'{{"id": "{ID}"}}\n'.encode(), Form.JSON_LINES)
    return row.fields["id"]
