"""What the two shops that this one replaces could do, one feature after the other, over HTTP and on each database."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Channel, Delivery, Event, Role
from aggregator.schemas.catalog import ProductQuerySchema
from aggregator.services.catalog_list import PRODUCTS
from tests.api.pages import pagination
from tests.builders import bearer, make_user, offer_id, stored, sync
from tests.conftest import signed_in
from tests.flows.passes import assert_audited
from tests.pictures import corners, picture, read

API = "/api/v1"
ADA = {"username": "Ada", "email": "ada@example.com", "password": "a lamp at the window"}
CATEGORIES = {"Lighting": None, "Desk lamps": "Lighting", "Furniture": None}
# In the order in which they are created; the last one while the offers service is down.
CATALOGUE: dict[str, dict[str, Any]] = {
    "Lamp": {"category": "Lighting", "brand": "Granato", "price": 2000, "stock": 5, "rating": 4.5},
    "Desk lamp": {"category": "Desk lamps", "brand": "Aurelo", "price": 3500, "stock": 2, "rating": 3.9},
    "Chair": {"category": "Furniture", "brand": "Castera", "price": 5000, "stock": 10, "rating": 4.0},
    "Table": {
        "category": "Furniture",
        "brand": "castera",
        "rating": 4.9,
        "description": "Seats a lamp and a chair.",
    },
    "Sofa": {"price": 45000, "rating": 2.0},
    "Bench": {"category": "Furniture", "brand": "Dunmore", "stock": 3},
}
OFFERS = {
    "Lamp": {offer_id(1): (1800, 3), offer_id(2): (2100, 0)},
    "Chair": {offer_id(3): (4500, 1)},
    "Table": {offer_id(4): (9000, 1), offer_id(5): (9500, 7), offer_id(6): (9900, 2)},
    "Sofa": {offer_id(7): (40000, 0)},
}
FOUND: dict[str, str] = {
    "q=lamp": "Desk lamp, Lamp, Table",
    "q=seats": "Table",
    "q=LAMP+des": "Desk lamp",
    "q=nothing": "",
    "category=lighting": "Desk lamp, Lamp",
    "category=desk-lamps": "Desk lamp",
    "category=furniture": "Bench, Chair, Table",
    "brand=castera": "Chair, Table",
    "brand=cast": "",
    "min_price=3500": "Chair, Desk lamp, Sofa",
    "max_price=3500": "Desk lamp, Lamp",
    "min_price=2001&max_price=5000": "Chair, Desk lamp",
    "min_stock=3": "Bench, Chair, Lamp",
    "max_stock=2": "Desk lamp, Sofa, Table",
    "min_rating=4": "Chair, Lamp, Table",
    "max_rating=3.9": "Desk lamp, Sofa",
    "min_offer_price=4500": "Chair, Table",
    "max_offer_price=4500": "Chair, Lamp",
    "in_stock=true": "Chair, Desk lamp, Lamp, Table",
    "in_stock=false": "Bench, Sofa",
    "has_offers=true": "Chair, Lamp, Sofa, Table",
    "has_offers=false": "Bench, Desk lamp",
    "registration=registered": "Chair, Desk lamp, Lamp, Sofa, Table",
    "registration=pending": "Bench",
    "registration=refused": "",
    "brand=Castera&min_rating=4.5&has_offers=true&q=chair": "Table",
}
# Where two are alike, the name decides; what has nothing to sort by comes last.
SORTED: dict[str, str] = {
    "name": "Bench, Chair, Desk lamp, Lamp, Sofa, Table",
    "-name": "Table, Sofa, Lamp, Desk lamp, Chair, Bench",
    "created_at": "Lamp, Desk lamp, Chair, Table, Sofa, Bench",
    "-created_at": "Bench, Sofa, Table, Chair, Desk lamp, Lamp",
    "updated_at": "Desk lamp, Chair, Table, Sofa, Bench, Lamp",
    "-updated_at": "Lamp, Bench, Sofa, Table, Chair, Desk lamp",
    "lowest_price": "Lamp, Chair, Table, Bench, Desk lamp, Sofa",
    "-lowest_price": "Table, Chair, Lamp, Bench, Desk lamp, Sofa",
    "price": "Lamp, Desk lamp, Chair, Sofa, Bench, Table",
    "-price": "Sofa, Chair, Desk lamp, Lamp, Bench, Table",
    "rating": "Sofa, Desk lamp, Chair, Lamp, Table, Bench",
    "-rating": "Table, Lamp, Chair, Desk lamp, Sofa, Bench",
    "stock": "Sofa, Table, Desk lamp, Bench, Lamp, Chair",
    "-stock": "Chair, Lamp, Bench, Desk lamp, Sofa, Table",
    "offer_count": "Bench, Desk lamp, Chair, Sofa, Lamp, Table",
    "-offer_count": "Table, Lamp, Chair, Sofa, Bench, Desk lamp",
}


@dataclass
class Shop:
    """A shop that an admin has filled over HTTP, and the ids of what is in it."""

    app: Flask
    admin: FlaskClient
    visitor: FlaskClient
    products: dict[str, str]

    def product(self, name: str) -> dict[str, Any]:
        return dict(self.visitor.get(f"{API}/products/{self.products[name]}").json)

    def stocks(self, *names: str) -> list[int]:
        return [self.product(name)["stock"] for name in names]

    def found(self, query: str, sort: str = "name") -> str:
        """The names of the products that are listed, in their order."""
        answer = self.visitor.get(f"{API}/products?{query}&sort={sort}")
        assert answer.status_code == 200, answer.json
        return ", ".join(product["name"] for product in answer.json)

    def line(self, name: str, quantity: int) -> dict[str, Any]:
        return {"product_id": self.products[name], "quantity": quantity}


def created(answer: TestResponse) -> dict[str, Any]:
    """What has been created, which is to be found where the answer says."""
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


@pytest.fixture
def shop(app, sandbox, visitor) -> Iterator[Shop]:
    """The shop; in the end nothing in its data may be wrong, whatever has happened there."""
    admin = signed_in(app, make_user(app, Role.ADMIN, username="Grace"))
    categories: dict[str | None, str | None] = {None: None}
    for name, parent in CATEGORIES.items():
        fields = {"name": name, "parent_id": categories[parent]}
        categories[name] = created(admin.post(f"{API}/categories", json=fields))["id"]
    products = {}
    for name, described in CATALOGUE.items():
        sandbox.faults = ["503@register"] if name == "Bench" else []
        fields = {"name": name, "description": "", **described}
        fields["category_id"] = categories[fields.pop("category", None)]
        products[name] = created(admin.post(f"{API}/products", json=fields))["id"]
    for name, offers in OFFERS.items():
        sync(app, products[name], offers)
    yield Shop(app, admin, visitor, products)
    assert_audited(app)


@pytest.fixture
def ada(app, visitor) -> FlaskClient:
    """A client of somebody who has registered and signed in."""
    created(visitor.post(f"{API}/auth/register", json=ADA))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {login(visitor, 'Ada')['access_token']}"
    return client


def login(client: FlaskClient, name: str) -> dict[str, Any]:
    answer = client.post(f"{API}/auth/login", json={"username": name, "password": ADA["password"]})
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def name_of(client: FlaskClient, token: str) -> str | int:
    """Whose the token is, or the status of the refusal."""
    answer = client.get(f"{API}/auth/me", headers=bearer(token))
    return str(answer.json["username"]) if answer.status_code == 200 else answer.status_code


def test_somebody_registers_signs_in_by_name_or_address_stays_signed_in_and_leaves(visitor):
    account = created(visitor.post(f"{API}/auth/register", json=ADA))
    assert (account["username"], account["email"], account["role"]) == ("Ada", "ada@example.com", "customer")

    first, other = login(visitor, "ada"), login(visitor, "ada@example.com")
    refreshed = visitor.post(f"{API}/auth/refresh", headers=bearer(first["refresh_token"])).json

    assert refreshed["refresh_token"] != first["refresh_token"]
    assert name_of(visitor, refreshed["access_token"]) == name_of(visitor, other["access_token"]) == "Ada"
    assert visitor.post(f"{API}/auth/logout", headers=bearer(refreshed["access_token"])).status_code == 204
    assert name_of(visitor, refreshed["access_token"]) == 401
    assert visitor.post(f"{API}/auth/refresh", headers=bearer(refreshed["refresh_token"])).status_code == 401
    assert name_of(visitor, other["access_token"]) == "Ada"


class TestTheCatalogue:
    def test_is_listed_page_by_page_the_newest_first(self, shop):
        pages = [shop.visitor.get(f"{API}/products?page_size=4&page={number}") for number in (1, 2)]

        names = [[product["name"] for product in page.json] for page in pages]
        assert names == [["Bench", "Sofa", "Table", "Chair"], ["Desk lamp", "Lamp"]]
        assert (pagination(pages[0])["total"], pagination(pages[0])["total_pages"]) == (6, 2)

    def test_is_filtered_by_all_that_a_product_has(self, shop):
        assert {query: shop.found(query) for query in FOUND} == FOUND

    def test_is_filtered_by_the_moment_from_which_on_it_is_new(self, shop):
        moments = {name: shop.product(name)["created_at"] for name in ("Lamp", "Table", "Bench")}

        found = {name: shop.found(f"created_after={moment}") for name, moment in moments.items()}

        assert found == {"Lamp": "Bench, Chair, Desk lamp, Sofa, Table", "Table": "Bench, Sofa", "Bench": ""}

    def test_no_filter_and_no_sort_is_left_out_here(self):
        names = {part.partition("=")[0] for query in FOUND for part in query.split("&")}
        of_lists = {"sort", "page", "page_size", "cursor"}

        assert names | {"created_after"} == ProductQuerySchema().fields.keys() - of_lists
        assert SORTED.keys() == {f"{sign}{name}" for name in PRODUCTS.columns for sign in ("", "-")}

    def test_is_sorted_by_all_that_products_can_be_compared_by(self, shop):
        shop.admin.patch(f"{API}/products/{shop.products['Lamp']}", json={"description": "Warm."})

        found = {sort: shop.found("", sort if sort.endswith("name") else f"{sort},name") for sort in SORTED}

        assert found == SORTED

    def test_is_what_admins_make_it_and_nobody_else(self, shop, ada):
        url = f"{API}/products/{shop.products['Chair']}"
        for client, status in ((shop.visitor, 401), (ada, 403)):
            assert client.post(f"{API}/categories", json={"name": "Garden"}).status_code == status
            assert client.post(f"{API}/products", json={"name": "Hut", "description": ""}).status_code == status
            assert client.patch(url, json={"price": 1}).status_code == status
            assert client.delete(url).status_code == status

        assert shop.admin.patch(url, json={"price": 4800}).json["price"] == 4800
        assert shop.admin.delete(url).status_code == 204
        assert shop.found("category=furniture") == "Bench, Table"


def test_an_image_is_uploaded_made_by_a_worker_and_served_in_both_sizes(shop):
    url = f"{API}/products/{shop.products['Lamp']}/images"
    image = created(shop.admin.post(url, data={"image": (BytesIO(picture(1200, 800, "JPEG")), "lamp.jpg")}))
    assert (image["status"], shop.product("Lamp")["images"]) == ("pending", [])
    assert shop.visitor.get(image["thumb_url"]).status_code == 404

    with shop.app.app_context():
        assert run_job(JOBS["make-images"], Run()) == {"made": 1}

    (shown,) = shop.product("Lamp")["images"]
    assert shown == {name: image[name] for name in ("id", "url", "thumb_url", "full_url")}
    for size, address in (((100, 67), shown["thumb_url"]), ((500, 333), shown["full_url"])):
        answer = shop.visitor.get(address)
        assert (answer.status_code, answer.content_type) == (200, "image/webp")
        assert (read(answer.data).size, corners(read(answer.data))) == (size, ["red", "green", "blue", "blue"])


class TestACart:
    def test_is_filled_changed_and_emptied_line_by_line(self, shop, ada):
        for name, quantity in (("Lamp", 2), ("Chair", 1), ("Desk lamp", 1), ("Lamp", 1)):
            answer = ada.post(f"{API}/cart/items", json=shop.line(name, quantity))
            assert answer.status_code == 201
        assert lines(ada) == {"Lamp": (3, 6000), "Chair": (1, 5000), "Desk lamp": (1, 3500)}
        assert summary(ada) == (5, 14500, "EUR")

        item = f"{API}/cart/items"
        assert ada.patch(f"{item}/{shop.products['Lamp']}", json={"quantity": 1}).status_code == 200
        assert ada.put(f"{item}/{shop.products['Chair']}", json={"quantity": 4}).status_code == 200
        assert ada.delete(f"{item}/{shop.products['Desk lamp']}").status_code == 204

        assert lines(ada) == {"Lamp": (1, 2000), "Chair": (4, 20000)}
        assert summary(ada) == (5, 22000, "EUR")
        assert shop.stocks("Lamp", "Chair", "Desk lamp") == [5, 10, 2], "nothing is reserved"
        assert ada.delete(f"{API}/cart").status_code == 204
        assert (lines(ada), summary(ada)) == ({}, (0, 0, "EUR"))

    @pytest.mark.parametrize(("name", "quantity", "left"), [("Desk lamp", 3, 2), ("Sofa", 1, 0), ("Table", 1, 0)])
    def test_takes_no_more_than_there_is_and_nothing_that_is_not_sold(self, shop, ada, name, quantity, left):
        answer = ada.post(f"{API}/cart/items", json=shop.line(name, quantity))

        assert (answer.status_code, lines(ada)) == (409, {})
        assert [short["available"] for short in answer.json["errors"]["items"]] == [left]

    def test_is_ordered_as_a_whole_and_then_it_is_empty_and_the_stock_has_fallen(self, shop, ada):
        for name, quantity in (("Lamp", 2), ("Chair", 3)):
            ada.post(f"{API}/cart/items", json=shop.line(name, quantity))

        order = created(ada.post(f"{API}/cart/checkout", json={"expected_total": 19000}))

        assert (order["status"], order["total"], order["currency"]) == ("placed", 19000, "EUR")
        assert {i["product_name"]: (i["quantity"], i["unit_price"], i["total"]) for i in order["items"]} == {
            "Lamp": (2, 2000, 4000),
            "Chair": (3, 5000, 15000),
        }
        assert (lines(ada), shop.stocks("Lamp", "Chair")) == ({}, [3, 7])
        assert ada.get(f"{API}/orders/{order['id']}").json == order
        assert mails(shop.app) == [("order.placed", order["code"])]


class TestOrders:
    def order(self, shop: Shop, customer: FlaskClient, **quantities: int) -> dict[str, Any]:
        items = [shop.line(name, quantity) for name, quantity in quantities.items()]
        return created(customer.post(f"{API}/orders", json={"items": items}))

    def test_of_ones_own_are_listed_the_newest_first_and_nobody_elses(self, shop, ada):
        bob = signed_in(shop.app, make_user(shop.app, username="Bob"))
        placed = [self.order(shop, ada, Lamp=1), self.order(shop, ada, Chair=2), self.order(shop, ada, Chair=1)]
        of_bob = self.order(shop, bob, Lamp=1)

        assert codes(ada) == [order["code"] for order in reversed(placed)]
        assert codes(ada, sort="total") == [placed[0]["code"], placed[2]["code"], placed[1]["code"]]
        assert codes(bob) == [of_bob["code"]]
        assert ada.get(f"{API}/orders/{of_bob['id']}").status_code == 404
        assert len(codes(shop.admin)) == 4
        assert shop.visitor.get(f"{API}/orders").status_code == 401

    def test_are_edited_and_the_stock_follows_and_what_stays_keeps_its_price(self, shop, ada):
        order = self.order(shop, ada, Lamp=2, Chair=3)
        shop.admin.patch(f"{API}/products/{shop.products['Lamp']}", json={"price": 2500})

        changed = ada.patch(
            f"{API}/orders/{order['id']}", json={"items": [shop.line("Lamp", 1), shop.line("Desk lamp", 2)]}
        ).json

        assert {item["product_name"]: item["total"] for item in changed["items"]} == {"Desk lamp": 7000, "Lamp": 2000}
        assert (changed["total"], changed["code"]) == (9000, order["code"])
        assert shop.stocks("Lamp", "Chair", "Desk lamp") == [4, 10, 0]

    def test_are_cancelled_once_and_the_stock_is_back(self, shop, ada):
        url = f"{API}/orders/{self.order(shop, ada, Lamp=5, Chair=1)['id']}"
        assert shop.stocks("Lamp", "Chair") == [0, 9]
        short = ada.post(f"{API}/orders", json={"items": [shop.line("Lamp", 1)]})

        cancelled = ada.post(f"{url}/cancel")

        assert short.status_code == 409
        assert [event["status"] for event in cancelled.json["history"]] == ["placed", "cancelled"]
        assert shop.stocks("Lamp", "Chair") == [5, 10]
        assert ada.post(f"{url}/cancel").status_code == 409
        assert ada.patch(url, json={"items": [shop.line("Lamp", 1)]}).status_code == 409
        assert shop.stocks("Lamp", "Chair") == [5, 10]

    def test_are_moved_on_by_an_admin_step_by_step_and_told_of_by_mail(self, shop, ada):
        order = self.order(shop, ada, Lamp=1)
        url = f"{API}/orders/{order['id']}"
        assert shop.admin.patch(url, json={"status": "shipped"}).status_code == 409
        assert ada.patch(url, json={"status": "paid"}).status_code == 403

        for status in ("paid", "shipped", "delivered"):
            moved = shop.admin.patch(url, json={"status": status})
            assert (moved.status_code, moved.json["status"]) == (200, status)

        steps = [(event["status"], event["by"]) for event in ada.get(url).json["history"]]
        assert steps == [("placed", "Ada"), ("paid", "admin"), ("shipped", "admin"), ("delivered", "admin")]
        assert ada.post(f"{url}/cancel").status_code == 409
        assert mails(shop.app) == [("order.placed", order["code"]), *[("order.status", order["code"])] * 3]


def lines(client: FlaskClient) -> dict[str, tuple[int, int]]:
    """How many of what are in a cart, and what they come to."""
    return {item["name"]: (item["quantity"], item["total"]) for item in client.get(f"{API}/cart").json["items"]}


def summary(client: FlaskClient) -> tuple[int, int, str]:
    cart = client.get(f"{API}/cart").json
    return cart["count"], cart["total"], cart["currency"]


def codes(client: FlaskClient, **query: str) -> list[str]:
    """The orders that somebody is shown, in their order."""
    return [order["code"] for order in client.get(f"{API}/orders", query_string=query).json]


def mails(app: Flask) -> list[tuple[str, str]]:
    """The mails about orders that are queued, in their order: what they are about, and of which order."""
    of_orders = Delivery.event.in_([Event.ORDER_PLACED, Event.ORDER_STATUS])
    found = stored(app, Delivery, Delivery.channel == Channel.MAIL, of_orders)
    queued = sorted(found, key=lambda mail: mail.created_at)
    return [(mail.event.value, json.loads(mail.payload)["code"]) for mail in queued]
