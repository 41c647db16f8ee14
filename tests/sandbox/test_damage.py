"""Answers that arrive whole and are wrong in themselves."""

import gzip
import json
import math
from uuid import uuid4

import pytest
import requests

from aggregator.sandbox.damage import WRONG_ROWS


class TestInTheBody:
    @pytest.fixture
    def spoiled(self, client, product_id):
        """The text of the offers with a fault in force."""

        def spoiled(spec: str) -> str:
            client.sandbox.faults = [spec]
            return client.offers(product_id).text

        return spoiled

    @pytest.fixture
    def good(self, client, product_id):
        return client.sandbox.offers_of(product_id)

    def test_broken_json_is_cut_in_half(self, spoiled, good):
        whole = json.dumps(good, separators=(",", ":"))

        assert spoiled("broken-json") == whole[: len(whole) // 2]

    def test_wrong_root_is_an_object(self, spoiled, good):
        assert json.loads(spoiled("wrong-root")) == {"offers": good}

    def test_empty_is_an_empty_list(self, spoiled):
        assert spoiled("empty") == "[]"

    def test_wrong_types_stand_among_the_good_rows(self, spoiled, good):
        rows = json.loads(spoiled("wrong-types"))
        bad = [row for row in rows if row not in good]

        assert [row for row in rows if row in good] == good
        assert len(bad) == len(WRONG_ROWS)
        assert rows[0] in good
        assert rows[1] in bad
        prices = [row["price"] for row in bad if isinstance(row, dict) and "price" in row]
        assert prices[:3] == ["12", True, 12.5]
        assert math.isnan(prices[3])
        assert prices[4:8] == [math.inf, None, {"amount": 12}, [12]]

    def test_negative_rows_stand_among_the_good_ones(self, spoiled, good):
        rows = json.loads(spoiled("negative"))

        assert [row for row in rows if row in good] == good
        assert [(row["price"], row["items_in_stock"]) for row in rows if row not in good] == [
            (-1, 5),
            (12, -5),
            (-9223372036854775809, -1),
        ]

    def test_huge_numbers_stand_among_the_good_ones(self, spoiled, good):
        rows = json.loads(spoiled("huge"), parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits)

        assert [row for row in rows if row in good] == good
        assert [row["price"] for row in rows if row not in good] == [10**30, 2**63, "9" * 5000, 12]

    def test_duplicates_repeat_an_id_with_another_price(self, spoiled, good):
        assert json.loads(spoiled("duplicates")) == [*good, {**good[0], "price": good[0]["price"] + 100}]

    def test_flood_is_100_000_offers(self, spoiled, good):
        rows = json.loads(spoiled("flood"))

        assert len({row["id"] for row in rows}) == 100_000
        assert rows[: len(good)] == good

    def test_deep_is_100_000_brackets_in_each_other(self, spoiled):
        assert spoiled("deep") == "[" * 100_000 + "]" * 100_000

    def test_gzip_is_50_mb_of_zeros_in_a_few_kb(self, client, product_id):
        client.sandbox.faults = ["gzip"]

        head, _, body = raw_answer_of_one(client, product_id)

        assert b"Content-Encoding: gzip" in head
        assert len(body) < 60_000
        assert gzip.decompress(body) == bytes(50 * 1024 * 1024)

    def test_shared_ids_appear_under_every_product(self, client, spoiled):
        other = client.register().json()["id"]
        first = json.loads(spoiled("shared-ids"))[0]["id"]

        assert client.offers(other).json()[0]["id"] == first

    def test_a_refusal_is_not_spoiled(self, client):
        client.sandbox.faults = ["broken-json"]

        assert client.offers(uuid4()).json() == {"detail": "Product does not exist"}

    @pytest.mark.parametrize(("kind", "body"), [("wrong-types", {"access_token": 12}), ("empty", {})])
    def test_objects_are_spoiled_in_their_own_way(self, start, kind, body):
        client = start(faults=[f"{kind}@auth"])

        assert client.auth(Bearer=client.sandbox.refresh_token).json() == body

    def test_wrong_root_puts_an_object_into_a_list(self, client):
        product_id = str(uuid4())
        client.sandbox.faults = ["wrong-root@register"]

        assert client.register(product_id).json() == [{"id": product_id}]

    @pytest.mark.parametrize("kind", ["wrong-types", "negative", "huge", "duplicates", "flood", "shared-ids"])
    def test_the_first_generation_is_spoiled_with_whole_number_ids(self, start, kind):
        client = start(generation="v1").sign_in()
        product_id = client.register().json()["id"]
        client.sandbox.faults = [kind]

        rows = json.loads(client.offers(product_id).content, parse_int=lambda digits: int(digits[:100]))
        second = client.sandbox.offers_of(product_id)[1]

        assert second in rows
        assert {type(row.get("id")) for row in rows if isinstance(row, dict) and row.get("price") != 12} <= {
            int,
            type(None),
        }


def raw_answer_of_one(client, product_id) -> tuple[bytes, bytes, bytes]:
    """Head and body of one answer on a connection that would stay open."""
    url = f"{client.sandbox.url}/api/v1/products/{product_id}/offers"
    with requests.get(url, headers=client.headers, timeout=5, stream=True) as response:
        head = "\r\n".join(f"{name}: {value}" for name, value in response.headers.items())
        return head.encode(), b"", response.raw.read(decode_content=False)
