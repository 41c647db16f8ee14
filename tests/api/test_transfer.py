"""POST /api/v1/products/import and GET /api/v1/products/export."""

import gzip
import json

import pytest

from aggregator.api import transfer
from aggregator.models import Product
from tests.builders import make_product, stored

IMPORT, EXPORT = "/api/v1/products/import", "/api/v1/products/export"
CSV = "name,description,price\nLamp,Warm,1999\nChair,,abc\n"


def send(client, body: str | bytes, content_type: str = "text/csv", **query: str):
    return client.post(IMPORT, data=body, content_type=content_type, query_string=query)


class TestImport:
    def test_reports_what_became_of_the_rows(self, app, client):
        response = send(client, CSV)

        assert response.status_code == 200
        assert response.json == {
            "added": 1,
            "updated": 0,
            "unchanged": 0,
            "rejected": 1,
            "errors": [{"line": 3, "reasons": [f"price: Must be a whole number from 0 to {10**12}."]}],
        }
        assert [product.name for product in stored(app, Product)] == ["Lamp"]

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            ({}, "name,price\nLamp,5\n"),
            ({"format": "csv"}, "name,price\nLamp,5\n"),
            ({"format": "tsv"}, "name\tprice\nLamp\t5\n"),
            ({"format": "jsonl"}, '{"name": "Lamp", "price": 5}\n'),
        ],
    )
    def test_a_file_whose_type_says_nothing_is_read_as_the_query_says(self, client, query, body):
        report = send(client, body, "application/octet-stream", **query).json

        assert (report["added"], report["errors"]) == (1, [])
        (product,) = client.get("/api/v1/products").json
        assert (product["name"], product["price"]) == ("Lamp", 5)

    @pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl"])
    def test_takes_lines_of_json(self, app, client, kind):
        assert send(client, '{"name": "Café"}\n', kind).json["added"] == 1

    def test_takes_what_excel_writes(self, app, client):
        send(client, b"\xef\xbb\xbfname,price\r\nLamp,5\r\n", "text/csv; charset=utf-8")

        assert [product.name for product in stored(app, Product)] == ["Lamp"]

    def test_can_be_tried_and_can_be_all_or_nothing(self, app, client):
        assert send(client, CSV, dry_run="true").json["added"] == 1
        refused = send(client, CSV, all_or_nothing="true")
        assert (refused.status_code, [row["line"] for row in refused.json["errors"]["rows"]]) == (422, [3])
        assert stored(app, Product) == []

    def test_bytes_that_are_no_text_cost_their_row_and_no_other(self, app, client):
        lines = b"".join(b"Lamp %d,Warm\n" % number for number in range(700))
        body = b"name,description\n" + lines + b"Caf\xe9,Cold\nChair,Hard\n"

        for kind, sent in (("text/csv", body), ("application/x-ndjson", b'{"name": "Caf\xe9"}\n{"name": "Stool"}\n')):
            response = send(client, sent, kind).json
            assert [error["reasons"] for error in response["errors"]] == [["name: Is not UTF-8."]]
        assert len(stored(app, Product)) == 702

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (CSV, "application/json", 415),
            (CSV, "text/plain", 415),
            ("colour\nred\n", "text/csv", 422),
            ("name|price\n", "text/csv", 422),
        ],
    )
    def test_refuses_what_makes_no_sense(self, app, client, body, content_type, status):
        assert send(client, body, content_type).status_code == status
        assert stored(app, Product) == []

    def test_a_body_may_be_larger_than_others(self, app, client):
        lines = "".join(f"Lamp {number},{'x' * 1000}\n" for number in range(1500))

        assert send(client, f"name,description\n{lines}", dry_run="true").json["added"] == 1500

    def test_what_was_exported_changes_nothing(self, app, client):
        make_product(app, name="=Lamp, large", description="two\nlines", price=5, stock=3, rating=4.5)
        for name in ("'tis", "'=already", "''+twice", "\n=line", "\uff1dwide"):
            make_product(app, name=name)

        for form, kind in (("csv", "text/csv"), ("jsonl", "application/x-ndjson")):
            exported = client.get(EXPORT, query_string={"format": form}).data
            assert send(client, exported, kind).json["unchanged"] == 6

    def test_swallows_no_rows_even_where_it_is_to_be_all_or_nothing(self, app, client):
        body = 'name,price,description\r\nSw a,1,"unclosed\r\nSw b,2,ok\r\nSw c,3,"fine"\r\n'

        refused = send(client, body, all_or_nothing="true")
        reported = send(client, body)

        assert refused.status_code == 422
        errors = [{"line": 2, "reasons": ["A quote is opened and not closed."]}]
        assert (refused.json["errors"]["rows"], reported.json["errors"]) == (errors, errors)
        assert sorted(product.name for product in stored(app, Product)) == ["Sw b", "Sw c"]

    def test_reads_the_charset_that_is_declared(self, app, client):
        response = send(client, "name,description\r\nCafé,d\r\n".encode("cp1252"), "text/csv; charset=Windows-1252")

        assert response.json["added"] == 1
        assert [product.name for product in stored(app, Product)] == ["Café"]

    def test_refuses_a_charset_that_is_not_known(self, client):
        response = send(client, CSV, "text/csv; charset=klingon")

        assert response.status_code == 415
        assert response.json["detail"] == "The charset 'klingon' is not one that is read here; utf-8 always is."

    def test_reads_what_gzip_has_compressed(self, client):
        response = compressed(client, gzip.compress(CSV.encode()))

        assert (response.status_code, response.json["added"]) == (200, 1)

    def test_reads_no_more_of_that_than_of_another_body(self, app, client, monkeypatch):
        monkeypatch.setattr(transfer, "MAX_IMPORT_BYTES", 10_000)
        row = b"Lamp,Warm,5\n"

        assert compressed(client, gzip.compress(b"name,description,price\n" + 800 * row)).status_code == 200
        assert compressed(client, gzip.compress(b"name,description,price\n" + 900 * row)).status_code == 413

    @pytest.mark.parametrize("body", [b"", b"name\nLamp\n", gzip.compress(b"name\nLamp\n", mtime=0)[:-5]])
    def test_refuses_what_gzip_cannot_read(self, app, client, body):
        assert compressed(client, body).status_code in (400, 422)
        assert stored(app, Product) == []

    @pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
    def test_names_the_compression_that_it_reads(self, client, coding):
        response = compressed(client, CSV.encode(), coding)

        assert (response.status_code, response.headers["Accept-Encoding"]) == (415, "gzip")


def compressed(client, body: bytes, coding: str = "gzip"):
    return client.post(IMPORT, data=body, content_type="text/csv", headers={"Content-Encoding": coding})


class TestExport:
    def test_is_lines_of_json(self, app, client):
        make_product(app, name="Lamp")

        response = client.get(EXPORT)

        assert (response.status_code, response.content_type) == (200, "application/x-ndjson")
        assert response.headers["Content-Disposition"] == "attachment; filename=products.jsonl"
        assert [json.loads(line)["name"] for line in response.text.splitlines()] == ["Lamp"]

    def test_is_csv_with_a_line_for_each_price(self, app, client):
        make_product(app, name="Lamp")

        response = client.get(EXPORT, query_string={"format": "csv", "with_history": "true"})

        assert response.content_type == "text/csv; charset=utf-8"
        assert len(response.text.splitlines()) == 2
