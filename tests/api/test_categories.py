"""/api/v1/categories: the parts of the catalogue."""

from uuid import uuid4

import pytest

from tests.builders import make_category, make_product

URL = "/api/v1/categories"


def names(response) -> list[str]:
    return [category["name"] for category in response.json]


class TestCreate:
    def test_answers_with_the_category_and_where_it_is(self, client, visitor):
        response = client.post(URL, json={"name": "Garden chairs"})

        category = response.json
        assert response.status_code == 201
        assert response.headers["Location"] == f"{URL}/{category['id']}"
        assert visitor.get(response.headers["Location"]).json == category
        assert category == {
            "id": category["id"],
            "name": "Garden chairs",
            "slug": "garden-chairs",
            "parent_id": None,
            "created_at": category["created_at"],
            "updated_at": category["created_at"],
        }

    def test_may_be_a_part_of_another_one(self, app, client):
        parent_id = str(make_category(app, "Furniture"))

        category = client.post(URL, json={"name": "Chairs", "slug": "seats", "parent_id": parent_id}).json

        assert (category["parent_id"], category["slug"]) == (parent_id, "seats")

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"name": "漢字"}, "slug"),
            ({"name": "Chairs", "slug": "a b"}, "slug"),
            ({"name": "Chairs", "parent_id": str(uuid4())}, "parent_id"),
            ({"name": "Chairs", "colour": "red"}, "colour"),
        ],
    )
    def test_refuses_what_makes_no_sense(self, client, fields, named):
        response = client.post(URL, json=fields)

        assert response.status_code == 422
        assert list(response.json["errors"]["json"]) == [named]

    def test_refuses_a_slug_in_use(self, app, client):
        make_category(app, "Chairs")

        response = client.post(URL, json={"name": "Chairs"})

        assert (response.status_code, response.json["detail"]) == (
            409,
            "There is a category with the slug 'chairs' already.",
        )


class TestList:
    def test_is_by_name_and_can_be_cut_down(self, app, visitor):
        furniture = make_category(app, "Furniture")
        make_category(app, "Chairs", parent_id=furniture)
        make_category(app, "Lamps")

        assert names(visitor.get(URL)) == ["Chairs", "Furniture", "Lamps"]
        assert names(visitor.get(URL, query_string={"parent_id": str(furniture)})) == ["Chairs"]
        assert names(visitor.get(URL, query_string={"is_root": "true"})) == ["Furniture", "Lamps"]
        assert names(visitor.get(URL, query_string={"is_root": "false"})) == ["Chairs"]
        assert names(visitor.get(URL, query_string={"slug": "lamps"})) == ["Lamps"]


class TestChange:
    def test_replaces_all_or_some_of_it(self, app, client):
        parent_id = make_category(app, "Furniture")
        url = f"{URL}/{make_category(app, 'Chairs', parent_id=parent_id)}"

        patched = client.patch(url, json={"name": "Seats"}).json
        assert (patched["name"], patched["slug"], patched["parent_id"]) == ("Seats", "chairs", str(parent_id))
        replaced = client.put(url, json={"name": "Stools"}).json
        assert (replaced["name"], replaced["slug"], replaced["parent_id"]) == ("Stools", "stools", None)

    def test_of_none_is_not_found(self, client):
        for answer in (
            client.get(f"{URL}/{uuid4()}"),
            client.patch(f"{URL}/{uuid4()}", json={"name": "Seats"}),
            client.delete(f"{URL}/{uuid4()}"),
        ):
            assert answer.status_code == 404


class TestDelete:
    def test_works_when_nothing_is_in_it(self, app, client):
        category_id = make_category(app)
        product_id = make_product(app, category_id=category_id)
        url = f"{URL}/{category_id}"

        refused = client.delete(url)
        assert (refused.status_code, refused.json["detail"]) == (409, "It holds 1 product, 0 parts.")
        client.patch(f"/api/v1/products/{product_id}", json={"category_id": None})
        assert client.delete(url).status_code == 204
        assert client.get(url).status_code == 404
