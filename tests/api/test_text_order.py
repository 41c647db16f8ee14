"""The order and the equality of texts: the same on each database, whatever its locale."""

import json
from itertools import pairwise

import pytest

from aggregator.models import Role
from tests.api.pages import links
from tests.builders import make_category, make_order, make_product, make_user, make_webhook
from tests.conftest import signed_in

API = "/api/v1"
NAMES = ["Banana", "apple", "Éclair", "eclair", "Zebra", "Ägypten", "co-op", "coop", "_x"]
ORDERED = ["Ägypten", "apple", "Banana", "co-op", "coop", "eclair", "Éclair", "_x", "Zebra"]
LETTERS = {"Rødvin": "rodvin", "Łódź lamp": "lodz", "Đuro": "duro", "Œuvre": "oeuvre", "Kılıç": "kilic"}
UNSEEN = ["Fern\u00adseher", "Fern\u200bseher", "Ｆernseher"]


def walked(client, path: str, name: str) -> list[str]:
    """The names on all pages of a list, by its cursors."""
    found, where = [], f"{API}{path}"
    while where:
        answer = client.get(where)
        assert answer.status_code == 200, answer.text
        found += [each[name] for each in answer.json]
        where = links(answer).get("next", "")
    return found


class TestOrder:
    @pytest.mark.parametrize("size", [2, 100])
    def test_of_products_by_name_is_the_one_that_people_expect(self, app, client, size):
        for name in NAMES:
            make_product(app, name=name)

        assert walked(client, f"/products?sort=name&page_size={size}", "name") == ORDERED
        assert walked(client, f"/products?sort=-name&page_size={size}", "name") == ORDERED[::-1]

    def test_of_categories_is_the_same(self, app, client):
        for number, name in enumerate(NAMES):
            make_category(app, name, slug=f"a{'-' * (number % 2)}{number}")

        assert walked(client, "/categories?page_size=2", "name") == ORDERED
        slugs = walked(client, "/categories?sort=slug&page_size=2", "slug")
        assert slugs == sorted(slugs)

    def test_of_users_is_the_same(self, app, client):
        names = [name.replace("_x", "x_") for name in NAMES]
        for number, name in enumerate(names):
            make_user(app, username=name, email=f"{'a-b' if number % 2 else 'ab'}{number}@example.com")
        others = walked(client, "/users?page_size=100&role=admin", "username")

        shown = walked(client, "/users?page_size=2", "username")
        assert [name for name in shown if name not in others] == [name.replace("_x", "x_") for name in ORDERED]
        emails = walked(client, "/users?sort=email&page_size=2", "email")
        assert emails == sorted(emails)

    def test_goes_with_the_name_when_that_is_changed(self, app, client):
        first, _ = make_product(app, name="Apple"), make_product(app, name="Banana")
        client.patch(f"{API}/products/{first}", json={"name": "Éclair"})

        assert walked(client, "/products?sort=name", "name") == ["Banana", "Éclair"]

    def test_is_the_same_for_what_was_imported(self, client):
        rows = [{"name": name, "brand": "Ärzte"} for name in NAMES]
        imported = client.post(
            f"{API}/products/import",
            data="".join(json.dumps(row) + "\n" for row in rows),
            content_type="application/x-ndjson",
        )

        assert imported.json["added"] == len(NAMES)
        assert walked(client, "/products?sort=name&brand=ÄRZTE", "name") == ORDERED
        product = client.get(f"{API}/products?q=banana").json[0]
        again = json.dumps({"id": product["id"], "name": "zzz", "brand": "Œ"})
        client.post(f"{API}/products/import", data=again, content_type="application/x-ndjson")
        assert walked(client, "/products?sort=name", "name")[-1] == "zzz"
        assert walked(client, "/products?brand=œ", "name") == ["zzz"]

    def test_of_the_lines_of_an_order_is_the_same(self, app, client):
        user = make_user(app, Role.CUSTOMER)
        lines = {make_product(app, name=name, price=100, stock=5): 1 for name in NAMES}
        make_order(app, user, lines)

        (order,) = signed_in(app, user).get(f"{API}/orders").json
        assert [line["product_name"] for line in order["items"]] == ORDERED

    def test_of_the_events_of_a_webhook_is_that_of_their_characters(self, app):
        user = make_user(app)
        webhook = make_webhook(app, user)

        events = signed_in(app, user).get(f"{API}/webhooks/{webhook}").json["events"]
        assert all(one < other for one, other in pairwise(events))


class TestEquality:
    @pytest.mark.parametrize(
        ("brand", "asked"),
        [
            ("Ärzte", "äRZTE"),
            ("Straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("E\u0301clair", "ÉCLAIR"),
            ("Ｃastera", "CASTERA"),
            ("Cas\u00adtera", "castera"),
            ("100%_\\", "100%_\\"),
            ("\ufdfa" * 120, "\ufdfa" * 120),
        ],
    )
    def test_of_brands_ignores_case_and_form(self, app, client, brand, asked):
        made = client.post(f"{API}/products", json={"name": "A", "description": "", "brand": brand})
        make_product(app, name="B", brand="another")
        make_product(app, name="C")

        assert made.status_code == 201, made.text
        assert [p["name"] for p in client.get(f"{API}/products", query_string={"brand": asked}).json] == ["A"]

    def test_of_users_who_are_looked_for_ignores_case(self, app, client):
        make_user(app, username="Ärzte", email="other@example.com")

        for asked in ("äRZ", "ärzte", "OTHER@"):
            found = client.get(f"{API}/users", query_string={"q": asked}).json
            assert [user["username"] for user in found] == ["Ärzte"]

    def test_of_the_code_of_an_order_ignores_case(self, app):
        user = make_user(app, Role.CUSTOMER)
        make_order(app, user, {make_product(app, price=100, stock=5): 1})
        client = signed_in(app, user)
        code = client.get(f"{API}/orders").json[0]["code"]

        assert len(client.get(f"{API}/orders?code={code.lower()}").json) == 1


class TestSearch:
    @pytest.mark.parametrize(("name", "asked"), LETTERS.items())
    def test_finds_letters_that_are_on_few_keyboards(self, app, client, name, asked):
        make_product(app, name=name)
        make_product(app, name="Another")

        for query in (asked, asked[:-1], name, name.upper()):
            assert [p["name"] for p in client.get(f"{API}/products", query_string={"q": query}).json] == [name]

    def test_finds_words_with_something_in_them_that_is_not_seen(self, app, client):
        for name in UNSEEN:
            make_product(app, name=name)

        for query in ("fernseher", *UNSEEN):
            found = client.get(f"{API}/products", query_string={"q": query, "sort": "created_at"}).json
            assert {p["name"] for p in found} == set(UNSEEN)

    def test_the_slug_of_a_category_has_the_same_letters(self, client):
        made = client.post(f"{API}/categories", json={"name": "Œuvres, Łódź & Køkken"})
        assert made.json["slug"] == "oeuvres-lodz-kokken"


class TestFractions:
    RATINGS = [0.30000000000000004, 0.3333333333333333, 4.999999999999999, 0.1, 1e-05, 5e-324, 4.5, 5, 0]

    def test_are_written_as_the_shortest_text_of_the_same_number(self, client):
        for number, rating in enumerate(self.RATINGS):
            product = {"name": f"P{number}", "description": "", "rating": rating}
            assert client.post(f"{API}/products", json=product).status_code == 201
        answer = client.get(f"{API}/products?sort=name")

        assert [product["rating"] for product in answer.json] == self.RATINGS
        written = [part.partition(",")[0] for part in answer.text.split('"rating":')[1:]]
        assert written == [repr(float(rating)).removesuffix(".0") for rating in self.RATINGS]

    @pytest.mark.parametrize(("form", "kind"), [("jsonl", "application/x-ndjson"), ("csv", "text/csv")])
    def test_come_back_from_an_export_as_they_were(self, client, form, kind):
        rows = [{"name": f"P{number}", "rating": (number * 7919 % 4999) / 999.7} for number in range(300)]
        body = "".join(
            json.dumps(row) + "\n" for row in [*rows, *({"name": f"Q{r}", "rating": r} for r in self.RATINGS)]
        )
        client.post(f"{API}/products/import", data=body, content_type="application/x-ndjson")
        exported = client.get(f"{API}/products/export?format={form}")

        again = client.post(f"{API}/products/import", data=exported.data, content_type=kind)
        assert again.json == {"added": 0, "updated": 0, "unchanged": 309, "rejected": 0, "errors": []}
        after = {row["name"]: row["rating"] for row in map(json.loads, body.splitlines())}
        shown = client.get(f"{API}/products/export?format=jsonl").text.splitlines()
        assert {row["name"]: row["rating"] for row in map(json.loads, shown)} == after
