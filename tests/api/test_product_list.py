"""GET /api/v1/products: pages, cursors, sorting and searching."""

import base64
import json
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import pytest

from aggregator import reading
from aggregator.services import list_queries, listing, search
from aggregator.services.catalog_list import PRODUCTS
from tests.api.pages import links, pagination
from tests.builders import LONG_AGO, make_offer, make_product

URL = "/api/v1/products"
SORTS = ["name", "created_at", "updated_at", "lowest_price", "price", "rating", "stock", "offer_count"]


def names(response) -> list[str]:
    return [product["name"] for product in response.json]


def cursor(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


class TestPages:
    def test_an_empty_catalogue_is_an_empty_list(self, client):
        response = client.get(URL)

        assert (response.status_code, response.json) == (200, [])
        assert pagination(response) == {"total": 0, "total_pages": 0}
        assert links(response) == {"first": f"{URL}?page=1", "last": f"{URL}?page=1"}

    def test_pages_hold_20_unless_told_otherwise(self, app, client):
        for number in range(21):
            make_product(app, name=f"P{number:02}")

        response = client.get(f"{URL}?sort=name")

        assert names(response) == [f"P{number:02}" for number in range(20)]
        assert pagination(response) == {
            "total": 21,
            "total_pages": 2,
            "first_page": 1,
            "last_page": 2,
            "page": 1,
            "next_page": 2,
        }

    def test_a_page_in_the_middle_leads_to_all_others(self, app, client):
        for name in "ABCDE":
            make_product(app, name=name)

        response = client.get(f"{URL}?sort=name&page=2&page_size=2")

        assert names(response) == ["C", "D"]
        assert pagination(response) == {
            "total": 5,
            "total_pages": 3,
            "first_page": 1,
            "last_page": 3,
            "page": 2,
            "previous_page": 1,
            "next_page": 3,
        }
        found = links(response)
        assert found["first"] == f"{URL}?sort=name&page=1&page_size=2"
        assert found["prev"] == f"{URL}?sort=name&page=1&page_size=2"
        assert found["last"] == f"{URL}?sort=name&page=3&page_size=2"
        assert names(client.get(found["next"])) == ["E"]

    def test_the_last_page_has_no_next(self, app, client):
        for name in "ABC":
            make_product(app, name=name)

        response = client.get(f"{URL}?sort=name&page=2&page_size=2")

        assert names(response) == ["C"]
        assert "next" not in links(response)
        assert "next_page" not in pagination(response)

    def test_a_page_that_is_just_full_has_no_next(self, app, client):
        for name in "AB":
            make_product(app, name=name)

        assert "next" not in links(client.get(f"{URL}?page_size=2"))

    def test_a_page_beyond_the_last_is_empty_and_leads_back(self, app, client):
        make_product(app)

        response = client.get(f"{URL}?page=100000&page_size=100")

        assert (response.status_code, response.json) == (200, [])
        assert pagination(response)["total"] == 1
        assert links(response)["prev"] == f"{URL}?page=1&page_size=100"

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("page=0", "page"),
            ("page=-1", "page"),
            ("page=1.5", "page"),
            ("page=x", "page"),
            ("page=100001", "page"),
            (f"page=1{'0' * 30}", "page"),
            (f"page={'9' * 5000}", "page"),
            ("page_size=0", "page_size"),
            ("page_size=101", "page_size"),
            ("page_size=", "page_size"),
        ],
    )
    def test_pages_that_make_no_sense_are_refused(self, client, query, field):
        response = client.get(f"{URL}?{query}")

        assert response.status_code == 422
        assert list(response.json["errors"]["query"]) == [field]

    def test_an_unknown_parameter_is_refused_by_name(self, client):
        response = client.get(f"{URL}?colour=red")

        assert response.status_code == 422
        assert response.json["errors"]["query"] == {"colour": ["Unknown field."]}

    def test_a_page_and_a_cursor_at_once_are_refused(self, client):
        response = client.get(f"{URL}?page=1&cursor=x")

        assert response.json["errors"]["query"] == {"cursor": ["Either a page or a cursor."]}

    def test_deleted_products_are_not_listed_and_not_counted(self, app, client):
        kept, gone = make_product(app, name="Kept"), make_product(app, name="Gone")
        client.delete(f"{URL}/{gone}")

        response = client.get(URL)

        assert [product["id"] for product in response.json] == [str(kept)]
        assert pagination(response)["total"] == 1

    def test_an_unchanged_page_is_a_304_until_something_changes(self, app, client):
        product = make_product(app)
        tag = client.get(URL).headers["ETag"]

        unchanged = client.get(URL, headers={"If-None-Match": tag})
        client.patch(f"{URL}/{product}", json={"stock": 3})
        changed = client.get(URL, headers={"If-None-Match": tag})

        assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", tag)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag

    def test_head_tells_the_same_without_a_body(self, app, client):
        make_product(app)

        response = client.head(URL)

        assert (response.status_code, response.data) == (200, b"")
        assert pagination(response)["total"] == 1


class TestSorting:
    @pytest.fixture
    def products(self, app) -> dict[str, UUID]:
        """Three products: B is the newest, C the dearest, A has no price."""
        ids = {}
        for name, age in (("A", 2), ("B", 0), ("C", 1)):
            ids[name] = make_product(app, name=name, created_at=LONG_AGO - timedelta(days=age))
        make_offer(app, ids["B"], price=100)
        make_offer(app, ids["C"], price=900)
        make_offer(app, ids["C"], price=950)
        return ids

    @pytest.mark.parametrize(
        ("sort", "expected"),
        [
            ("name", "ABC"),
            ("-name", "CBA"),
            ("created_at", "ACB"),
            ("-created_at", "BCA"),
            ("updated_at", "ACB"),
            ("-updated_at", "BCA"),
            ("lowest_price", "BCA"),
            ("-lowest_price", "CBA"),
            ("offer_count", "ABC"),
            ("-offer_count", "CBA"),
            ("offer_count,-name", "ABC"),
            (" -name , created_at ", "CBA"),
        ],
    )
    def test_sorts_either_way_and_what_has_no_price_comes_last(self, products, client, sort, expected):
        assert names(client.get(URL, query_string={"sort": sort})) == list(expected)

    def test_the_newest_come_first_unless_told_otherwise(self, products, client):
        assert names(client.get(URL)) == ["B", "C", "A"]

    @pytest.mark.parametrize("sort", ["price;drop", "description", "name,name", "name,-name", ",", "--name", "name,"])
    def test_sorts_that_make_no_sense_are_refused_with_what_there_is(self, client, sort):
        response = client.get(URL, query_string={"sort": sort})

        assert response.status_code == 422
        (message,) = response.json["errors"]["query"]["sort"]
        assert message == f"Sort by some of {', '.join(SORTS)}; a minus before one turns it around."


class TestCursors:
    """A walk from page to page by the Link header sees everything once, in order, however far it goes."""

    @pytest.fixture
    def catalogue(self, app) -> list[dict]:
        """40 products with few different prices and moments, so that every sort has ties."""
        for number in range(40):
            created_at = LONG_AGO + timedelta(microseconds=number % 5)
            price = number % 4 or None
            feed = {"lowest_price": price and price * 100, "offer_count": number % 3}
            make_product(app, name=f"P {number * 7 % 40:02}", created_at=created_at, feed=feed)
        return app.test_client().get(f"{URL}?page_size=100").json

    def walk(self, client, sort: str, size: int) -> list[dict]:
        seen, address = [], f"{URL}?sort={sort}&page_size={size}"
        while address:
            response = client.get(address)
            assert response.status_code == 200, response.json
            assert 0 < len(response.json) <= size
            seen += response.json
            address = links(response).get("next")
        return seen

    @pytest.mark.parametrize(
        "sort",
        [
            "name",
            "-created_at",
            "created_at,name",
            "lowest_price",
            "-lowest_price",
            "lowest_price,-name",
            "-lowest_price,created_at",
            "offer_count,-lowest_price,created_at",
            "-updated_at,-offer_count",
        ],
    )
    def test_a_walk_sees_everything_once_and_in_order(self, catalogue, client, sort):
        whole = client.get(f"{URL}?sort={sort}&page_size=100").json

        walked = self.walk(client, sort, 7)

        assert sorted(product["id"] for product in walked) == sorted(product["id"] for product in catalogue)
        assert walked == whole

    def test_products_that_come_and_go_on_the_way_move_no_others(self, catalogue, app, client):
        first = client.get(f"{URL}?sort=name&page_size=10")
        client.delete(f"{URL}/{first.json[0]['id']}")
        make_product(app, name="P 00 a")
        make_product(app, name="P 09 a")

        second = client.get(links(first)["next"])

        assert names(second)[:2] == ["P 09 a", "P 10"]

    def test_nobody_counts_on_the_way(self, catalogue, client):
        second = client.get(links(client.get(f"{URL}?page_size=10"))["next"])

        assert second.status_code == 200
        assert "X-Pagination" not in second.headers
        assert list(links(second)) == ["next"]

    def test_the_filter_goes_along(self, catalogue, client):
        first = client.get(f"{URL}?q=P 1&sort=name&page_size=6")

        assert names(first) + names(client.get(links(first)["next"])) == [f"P {number}" for number in range(10, 20)]

    @pytest.mark.parametrize(
        "odd", ["Café\u00a0noir", "Two\nlines", "Zero\u200bwidth", "Smile 😀", "%_\\' \" ,[]", "😀" * 255]
    )
    def test_a_walk_passes_any_name(self, app, client, odd):
        for name in ("A", odd, "~"):
            make_product(app, name=name)

        assert sorted(product["name"] for product in self.walk(client, "name", 1)) == sorted(["A", odd, "~"])

    @pytest.mark.parametrize(
        "mark",
        [
            "x",
            "é",
            "%%%",
            "bnVsbA",
            cursor(),
            cursor("2026-01-01T00:00:00.000000Z"),
            cursor("yesterday", "00000000-0000-0000-0000-000000000001"),
            cursor(5, "00000000-0000-0000-0000-000000000001"),
            cursor("2026-01-01T00:00:00.000000Z", "none"),
            cursor("2026-01-01T00:00:00.000000Z", 5),
            cursor("2026-01-01T00:00:00.000000Z", None),
            cursor("2026-01-01T00:00:00.000000Z", ["00000000-0000-0000-0000-000000000001"]),
            cursor("2026-01-01T00:00:00.000000Z", {"a": 1}),
            cursor("2026-01-01T00:00:00.000000Z", "00000000-0000-0000-0000-000000000001", 1),
            base64.urlsafe_b64encode(b"[" * 1400).decode(),
        ],
    )
    def test_a_cursor_that_is_none_of_ours_is_refused(self, client, mark):
        response = client.get(URL, query_string={"cursor": mark})

        assert response.status_code == 422
        assert response.json["errors"]["query"] == {"cursor": ["Not a cursor of this list, sorted like this."]}

    @pytest.mark.parametrize("price", [2**63, -(2**63), True, 1.5, "1", None])
    def test_a_price_in_a_cursor_is_a_number_that_fits(self, client, price):
        mark = cursor(price, "00000000-0000-0000-0000-000000000001")

        assert client.get(URL, query_string={"sort": "lowest_price", "cursor": mark}).status_code == 422

    @pytest.mark.parametrize("name", ["a\0b", "\ud800", 5])
    def test_a_name_in_a_cursor_is_a_text_that_can_be_stored(self, client, name):
        mark = cursor(name, "00000000-0000-0000-0000-000000000001")

        assert client.get(URL, query_string={"sort": "name", "cursor": mark}).status_code == 422

    def test_a_cursor_of_another_sort_is_refused(self, catalogue, client):
        following = links(client.get(f"{URL}?sort=name&page_size=2"))["next"]

        assert client.get(following.replace("sort=name", "sort=offer_count")).status_code == 422

    def test_pages_by_number_are_what_a_walk_sees(self, catalogue, client):
        names = [*PRODUCTS.columns, "name,offer_count", "stock,-lowest_price"]
        sorts = [f"{sign}{name}" for name in names for sign in ("", "-")]

        for sort in sorts:
            query = {"sort": sort, "page_size": 9}
            pages = [client.get(URL, query_string={**query, "page": number}).json for number in range(1, 6)]
            assert [product for page in pages for product in page] == self.walk(client, sort, 9), sort

    @pytest.mark.parametrize("sort", ["stock", "-stock", "offer_count", "stock,-name"])
    def test_a_number_in_a_cursor_may_be_larger_than_any_that_is_stored(self, catalogue, client, sort):
        marks = [10**11, *(["x"] if "name" in sort else []), str(UUID(int=1))]

        assert client.get(URL, query_string={"sort": sort, "cursor": cursor(*marks)}).status_code == 200


class TestSearch:
    @pytest.fixture(autouse=True)
    def products(self, app):
        make_product(app, name="Oak chair", brand="Castera", description="It does not wobble.")
        make_product(app, name="Oak table", brand="Chairman", description="Seats six.")
        make_product(app, name="Café crème", brand="Müller", description="Goes with a chair of oak.")
        make_product(app, name="Straße nach Łódź", description="")

    @pytest.mark.parametrize(
        ("q", "expected"),
        [
            ("oak", ["Café crème", "Oak chair", "Oak table"]),
            ("OAK", ["Café crème", "Oak chair", "Oak table"]),
            ("chair oak", ["Café crème", "Oak chair"]),  # in any order
            ("oak chair", ["Café crème", "Oak chair", "Oak table"]),  # a chairman begins like a chair
            ("oak chairm", ["Oak table"]),
            ("chai oak", []),  # only the last word may be begun
            ("wobb", ["Oak chair"]),
            ("castera", ["Oak chair"]),
            ("cafe", ["Café crème"]),
            ("CAFÉ creme muller", ["Café crème"]),
            ("mull", ["Café crème"]),
            ("strasse", ["Straße nach Łódź"]),
            ("hair", []),
            ("%", []),
            ("_", []),
            ("' OR 1=1 --", []),
            ("nothing like it", []),
        ],
    )
    def test_finds_words_of_names_brands_and_descriptions(self, client, q, expected):
        response = client.get(URL, query_string={"q": q, "sort": "name"})

        assert names(response) == expected
        assert pagination(response)["total"] == len(expected)

    def test_what_has_all_words_in_its_name_comes_first(self, client):
        assert names(client.get(URL, query_string={"q": "oak chair"}))[0] == "Oak chair"
        assert names(client.get(URL, query_string={"q": "oak"}))[2] == "Café crème"

    def test_an_edit_changes_what_is_found(self, client):
        (product,) = client.get(URL, query_string={"q": "wobble"}).json
        client.patch(f"{URL}/{product['id']}", json={"name": "Pine stool"})

        assert names(client.get(URL, query_string={"q": "pine"})) == ["Pine stool"]
        assert "Pine stool" not in names(client.get(URL, query_string={"q": "oak"}))
        assert names(client.get(URL, query_string={"q": "wobble"})) == ["Pine stool"]

    def test_is_one_filter_among_others(self, client):
        assert names(client.get(URL, query_string={"q": "oak", "brand": "castera"})) == ["Oak chair"]

    @pytest.mark.parametrize("q", ["", "x" * 101, "a\0b"])
    def test_a_search_that_makes_no_sense_is_refused(self, client, q):
        response = client.get(URL, query_string={"q": q})

        assert response.status_code == 422
        assert list(response.json["errors"]["query"]) == ["q"]


class TestByRelevance:
    """What is found by its name and what is found otherwise are two lists, walked as one."""

    @pytest.fixture(autouse=True)
    def products(self, app):
        moments = [LONG_AGO + timedelta(number) for number in range(9)]
        for number, moment in enumerate(moments):
            named = number % 2 == 0
            fields = {"name": f"Lamp {number}"} if named else {"name": f"Light {number}", "description": "A lamp."}
            make_product(app, **fields, created_at=moment)

    EXPECTED = ("Lamp 8", "Lamp 6", "Lamp 4", "Lamp 2", "Lamp 0", "Light 7", "Light 5", "Light 3", "Light 1")

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 20])
    def test_pages_by_number_are_parts_of_it(self, client, size):
        pages = range(1, 12)
        seen = [client.get(URL, query_string={"q": "lamp", "page_size": size, "page": page}) for page in pages]

        assert [name for response in seen for name in names(response)] == [*self.EXPECTED]
        assert {pagination(response)["total"] for response in seen} == {9}

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 20])
    def test_a_walk_by_cursor_sees_all_of_it_once(self, client, size):
        seen, url = [], f"{URL}?q=lamp&page_size={size}"
        while url:
            response = client.get(url)
            seen += names(response)
            url = links(response).get("next")

        assert seen == [*self.EXPECTED]

    @pytest.mark.parametrize("values", [(2, "x", "y"), (True, 1, 2), (0, 5, 5), (-1, "2026-01-01", 1)])
    def test_a_made_up_cursor_is_refused(self, client, values):
        assert client.get(URL, query_string={"q": "lamp", "cursor": cursor(*values)}).status_code == 422


class TestWordsThatManyHave:
    """The list is walked along for them, and what they find is what they find otherwise."""

    @pytest.fixture(autouse=True)
    def products(self, app):
        for number in range(14):
            name = f"Lamp {number}" if number % 3 else f"Light {number}"
            described = "A lamp, light and large." if number % 4 else ""
            fields = {"name": name, "description": described, "created_at": LONG_AGO + timedelta(number % 5)}
            price = {"lowest_price": 100 + number % 4, "offer_count": number % 5} if number % 2 else {}
            make_product(app, feed=price, deleted_at=LONG_AGO if number == 13 else None, **fields)

    def found(self, client, query: dict[str, str], size: int) -> list[str]:
        seen, url = [], f"{URL}?{urlencode({**query, 'page_size': size})}"
        while url:
            response = client.get(url)
            seen += names(response)
            url = links(response).get("next")
        return seen

    @pytest.mark.parametrize("walked", [3, 100])
    def test_find_the_same_in_the_same_order(self, client, monkeypatch, walked):
        others = ({}, {"sort": "lowest_price,-name"}, {"sort": "-offer_count", "max_offer_price": "102"})
        queries = [{"q": q, **other} for q in ("lamp", "l", "lamp light", "a la", "lamp zzz") for other in others]
        expected = [self.found(client, query, 4) for query in queries]
        monkeypatch.setattr(search, "RARE", 1)
        monkeypatch.setattr(list_queries, "WALKED", walked)
        reading._query.cache_clear()  # those numbers are written into the queries
        found = [self.found(client, query, 4) for query in queries]
        reading._query.cache_clear()

        assert found == expected
        assert [len(names) for names in expected] == [11, 11, 3, 13, 13, 3, 9, 9, 3, 9, 9, 3, 0, 0, 0]

    def test_are_not_counted_where_there_are_more(self, client, monkeypatch):
        monkeypatch.setattr(search, "RARE", 1)
        reading._query.cache_clear()
        first, last = (client.get(URL, query_string={"q": "l", "page_size": size}) for size in (4, 20))
        reading._query.cache_clear()

        assert pagination(first) == {"total_at_least": 5, "first_page": 1, "page": 1, "next_page": 2}
        assert pagination(last)["total"] == 13


class TestManyProducts:
    def test_are_counted_up_to_a_thousand(self, app, client, monkeypatch):
        monkeypatch.setattr(listing, "COUNTED", 3)
        for number in range(5):
            make_product(app, name=f"P{number}")

        response = client.get(f"{URL}?page_size=2&page=2&sort=name")

        assert names(response) == ["P2", "P3"]
        assert pagination(response) == {
            "total_at_least": 3,
            "first_page": 1,
            "page": 2,
            "previous_page": 1,
            "next_page": 3,
        }
        assert sorted(links(response)) == ["first", "next", "prev"]
