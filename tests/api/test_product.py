"""/api/v1/products/{id}: to show, edit and delete a product."""

from uuid import uuid4

import pytest

from aggregator.models import Feed, Offer, PricePoint, Product, ProductPricePoint, Registration
from tests.builders import (
    LONG_AGO,
    create,
    edit,
    make_category,
    make_offer,
    make_product,
    offer_id,
    stored,
    sync,
    the_feed,
)

URL = "/api/v1/products"
WHOLE = {"name": "Chair", "description": "Oak", "brand": "Castera", "price": 5, "stock": 6, "rating": 3.5}


@pytest.fixture
def product(app):
    return make_product(app, name="Lamp", description="Warm", brand="Aurelo", price=1999, stock=3, rating=4.5)


@pytest.fixture
def url(product) -> str:
    return f"{URL}/{product}"


class TestGet:
    def test_shows_all_there_is_to_a_product(self, app, client, product, url):
        first = make_offer(app, product, price=200, stock=4)
        edit(app, Feed, digest=7)

        assert client.get(url).json == {
            "id": str(product),
            "name": "Lamp",
            "description": "Warm",
            "brand": "Aurelo",
            "category": None,
            "price": 1999,
            "stock": 3,
            "rating": 4.5,
            "registration": {
                "status": "registered",
                "reason": None,
                "registered_at": "2026-01-02T03:04:05.678901Z",
            },
            "lowest_price": 200,
            "offer_count": 1,
            "offers_synced_at": "2026-01-02T03:04:05.678901Z",
            "offers_up_to_date": True,
            "offers_problem": None,
            "images": [],
            "created_at": "2026-01-02T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:04:05.678901Z",
            "offers": [
                {
                    "id": first,
                    "product_id": str(product),
                    "price": 200,
                    "items_in_stock": 4,
                    "first_seen_at": "2026-01-02T03:04:05.678901Z",
                    "last_seen_at": "2026-01-02T03:04:05.678901Z",
                    "sold_out_at": None,
                }
            ],
        }

    def test_embeds_the_open_offers_the_cheapest_first(self, app, client, product, url):
        dear, cheap = make_offer(app, product, price=900), make_offer(app, product, price=100)
        gone = make_offer(app, product, price=1, stock=0)
        make_offer(app, product, price=2, last_seen_at=LONG_AGO)
        make_offer(app, make_product(app), price=3)

        assert [offer["id"] for offer in client.get(url).json["offers"]] == [gone, cheap, dear]

    @pytest.mark.parametrize("path", ["00000000-0000-0000-0000-00000000000a", "0", "none", "%00", "a" * 300])
    def test_what_is_not_there_is_a_404(self, client, path):
        response = client.get(f"{URL}/{path}")

        assert response.status_code == 404
        assert response.content_type == "application/problem+json"

    def test_an_id_may_be_written_in_capitals(self, client, product):
        assert client.get(f"{URL}/{str(product).upper()}").json["id"] == str(product)

    def test_a_slash_at_the_end_does_not_matter(self, client, url):
        assert client.get(f"{url}/").status_code == 200


class TestETag:
    def test_who_has_it_already_gets_a_304(self, client, url):
        tag = client.get(url).headers["ETag"]

        response = client.get(url, headers={"If-None-Match": tag})

        assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag)
        assert response.headers["Cache-Control"] == "no-cache"

    @pytest.mark.parametrize("form", ["W/{}", '"other", {}', "*"])
    def test_every_form_of_if_none_match_is_understood(self, client, url, form):
        tag = client.get(url).headers["ETag"]

        assert client.get(url, headers={"If-None-Match": form.format(tag)}).status_code == 304

    def test_an_edit_changes_it(self, client, url):
        tag = client.get(url).headers["ETag"]
        client.patch(url, json={"stock": 9})

        response = client.get(url, headers={"If-None-Match": tag})

        assert (response.status_code, response.json["stock"]) == (200, 9)

    def test_a_sync_changes_it(self, app, client, product, url):
        tag = client.get(url).headers["ETag"]
        sync(app, product, {offer_id(1): (500, 2)})

        response = client.get(url, headers={"If-None-Match": tag})

        assert (response.status_code, response.json["lowest_price"]) == (200, 500)

    def test_a_try_to_register_changes_it(self, app, client, sandbox):
        sandbox.faults = ["500@register"]
        url = create(client).headers["Location"]
        tag = client.get(url).headers["ETag"]
        edit(app, Feed, attempts=2, reason="it answered 502")

        response = client.get(url, headers={"If-None-Match": tag})

        assert (response.status_code, response.json["registration"]["reason"]) == (200, "it answered 502")

    def test_an_edit_that_changes_nothing_keeps_it(self, client, url):
        tag = client.get(url).headers["ETag"]
        client.patch(url, json={"stock": 3, "name": "Lamp"})

        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304

    def test_a_deleted_product_is_a_404_for_who_has_it_too(self, client, url):
        tag = client.get(url).headers["ETag"]
        client.delete(url)

        assert client.get(url, headers={"If-None-Match": tag}).status_code == 404


class TestPut:
    def test_replaces_everything(self, client, url):
        response = client.put(url, json=WHOLE)

        assert response.status_code == 200
        assert {name: response.json[name] for name in WHOLE} == WHOLE
        assert client.get(url).json == response.json
        assert client.get(url).headers["ETag"] == response.headers["ETag"]

    def test_what_is_left_out_falls_back_to_its_default_but_for_the_stock(self, client, url):
        stock = client.patch(url, json={"stock": 7, "price": 5}).json["stock"]
        body = client.put(url, json={"name": "Lamp", "description": ""}).json

        assert (body["brand"], body["price"], body["stock"], body["rating"]) == (None, None, stock, None)

    def test_needs_all_that_a_product_needs(self, client, url):
        response = client.put(url, json={"name": "Chair"})

        assert response.status_code == 422
        assert response.json["errors"]["json"] == {"description": ["Missing data for required field."]}

    def test_tells_when(self, client, url):
        body = client.put(url, json=WHOLE).json

        assert body["updated_at"] > body["created_at"]


class TestPatch:
    @pytest.mark.parametrize("name", sorted(WHOLE))
    def test_changes_only_what_is_said(self, client, url, name):
        before = client.get(url).json

        after = client.patch(url, json={name: WHOLE[name]}).json

        assert after == before | {name: WHOLE[name], "updated_at": after["updated_at"]}

    @pytest.mark.parametrize("name", ["brand", "price", "rating"])
    def test_null_takes_away_what_may_be_missing(self, client, url, name):
        assert client.patch(url, json={name: None}).json[name] is None

    def test_nothing_changes_nothing(self, client, url):
        before = client.get(url).json

        response = client.patch(url, json={})

        assert (response.status_code, response.json) == (200, before)

    def test_a_refused_product_gets_another_try(self, app, client, product, url):
        edit(app, Feed, status=Registration.REFUSED, reason="too dull")

        body = client.patch(url, json={"name": "Chair"}).json

        assert body["registration"]["status"] == "pending"
        assert the_feed(app, product).due_at > LONG_AGO


@pytest.mark.parametrize("method", ["put", "patch"])
class TestEdits:
    def send(self, client, method, url, headers=None, **fields):
        whole = WHOLE if method == "put" else {}
        return getattr(client, method)(url, json=whole | fields, headers=headers)

    def test_what_is_not_there_is_a_404(self, client, method):
        assert self.send(client, method, f"{URL}/{uuid4()}").status_code == 404

    def test_a_deleted_one_is_a_404(self, client, method, url):
        client.delete(url)

        assert self.send(client, method, url).status_code == 404

    @pytest.mark.parametrize("field", ["id", "created_at", "version", "lowest_price", "registration", "colour"])
    def test_what_cannot_be_changed_is_refused(self, client, method, url, field):
        response = self.send(client, method, url, **{field: str(uuid4())})

        assert response.status_code == 422
        assert response.json["errors"]["json"] == {field: ["Unknown field."]}

    @pytest.mark.parametrize("fields", [{"name": ""}, {"name": None}, {"price": True}, {"stock": "1"}, {"rating": 6}])
    def test_the_rules_are_those_of_a_new_product(self, client, method, url, fields):
        response = self.send(client, method, url, **fields)

        assert response.status_code == 422
        assert list(response.json["errors"]["json"]) == list(fields)

    def test_a_name_in_use_is_a_conflict(self, app, client, method, url):
        make_product(app, name="Table")

        response = self.send(client, method, url, name="Table")

        assert response.status_code == 409
        assert response.json["detail"] == "There is a product named 'Table' already."
        assert client.get(url).json["name"] == "Lamp"

    def test_ones_own_name_is_no_conflict(self, client, method, url):
        assert self.send(client, method, url, name="Lamp").status_code == 200

    def test_with_the_right_etag_it_is_done(self, client, method, url):
        tag = client.get(url).headers["ETag"]

        assert self.send(client, method, url, {"If-Match": tag}, stock=7).json["stock"] == 7

    def test_after_somebody_elses_edit_it_is_a_412_and_changes_nothing(self, client, method, url):
        tag = client.get(url).headers["ETag"]
        client.patch(url, json={"stock": 1})

        response = self.send(client, method, url, {"If-Match": tag}, stock=7)

        assert response.status_code == 412
        assert response.json["detail"] == "It has been changed since the version named in If-Match."
        assert client.get(url).json["stock"] == 1

    def test_a_sync_in_between_does_not_stand_in_the_way(self, app, client, method, product, url):
        tag = client.get(url).headers["ETag"]
        sync(app, product, {offer_id(1): (500, 2)})

        assert self.send(client, method, url, {"If-Match": tag}).status_code == 200

    def test_a_star_matches_whatever_there_is(self, client, method, url):
        assert self.send(client, method, url, {"If-Match": "*"}).status_code == 200

    @pytest.mark.parametrize(
        "tag", ['"nonsense"', '"\u00b2-r1-"', '"2"', '"2-r1-", "3-r1-"', '"99999999999999999999-r1-"']
    )
    def test_a_tag_of_nothing_is_a_412(self, client, method, url, tag):
        assert self.send(client, method, url, {"If-Match": tag}).status_code == 412

    def test_a_body_that_is_no_json_is_a_400(self, client, method, url):
        assert getattr(client, method)(url, data="{", content_type="application/json").status_code == 400

    def test_a_body_that_is_not_called_json_is_a_415(self, client, method, url):
        assert getattr(client, method)(url, data="{}", content_type="text/plain").status_code == 415

    def test_the_service_is_not_told(self, client, method, url, sandbox):
        self.send(client, method, url)

        assert sandbox.calls == []


class TestDelete:
    def test_answers_204_and_the_product_is_gone(self, client, url):
        response = client.delete(url)

        assert (response.status_code, response.data) == (204, b"")
        assert client.get(url).status_code == 404
        assert client.get(f"{url}/offers").status_code == 404
        assert client.delete(url).status_code == 404

    def test_it_is_soft_and_history_is_kept(self, app, client, product, url):
        make_offer(app, product, price=500)

        client.delete(url)

        (row,), (offer,) = stored(app, Product), stored(app, Offer)
        assert row.deleted_at == row.updated_at == offer.last_seen_at
        assert stored(app, Feed) == []
        assert [point.price for point in stored(app, PricePoint)] == [500, None]
        assert [(p.lowest_price, p.offer_count) for p in stored(app, ProductPricePoint)] == [(None, 0)]

    def test_with_an_etag_that_is_too_old_it_is_a_412(self, client, url):
        tag = client.get(url).headers["ETag"]
        client.patch(url, json={"stock": 1})

        assert client.delete(url, headers={"If-Match": tag}).status_code == 412
        assert client.get(url).status_code == 200

    def test_with_the_right_etag_it_is_done(self, client, url):
        assert client.delete(url, headers={"If-Match": client.get(url).headers["ETag"]}).status_code == 204

    def test_what_is_not_there_is_a_404(self, client):
        assert client.delete(f"{URL}/{uuid4()}").status_code == 404


@pytest.mark.parametrize("method", ["post", "trace"])
def test_other_methods_are_a_405_that_names_the_right_ones(client, url, method):
    response = client.open(url, method=method.upper())

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}


class TestTagOfWhatIsShownBeside:
    @pytest.fixture
    def kettle(self, app, client):
        category_id = make_category(app, "Kettles")
        product_id = make_product(app, category_id=category_id)
        return f"/api/v1/products/{product_id}", f"/api/v1/categories/{category_id}"

    @pytest.mark.parametrize("fields", [{"name": "Boilers"}, {"slug": "boilers"}])
    def test_is_another_one_when_the_category_is(self, client, kettle, fields):
        url, category = kettle
        tag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304

        client.patch(category, json=fields)

        again = client.get(url, headers={"If-None-Match": tag})
        assert (again.status_code, again.json["category"] | fields) == (200, again.json["category"])

    def test_stands_in_the_way_of_no_edit(self, client, kettle):
        url, category = kettle
        tag = client.get(url).headers["ETag"]
        client.patch(category, json={"name": "Boilers"})

        assert client.patch(url, json={"brand": "Aurelo"}, headers={"If-Match": tag}).status_code == 200

    def test_is_another_one_when_the_registration_is(self, app, client):
        product_id = make_product(app, {"status": Registration.REGISTERED})
        url = f"/api/v1/products/{product_id}"
        tag = client.get(url).headers["ETag"]

        edit(app, Feed, Feed.product_id == product_id, status=Registration.REFUSED, reason="another's")

        assert client.get(url, headers={"If-None-Match": tag}).status_code == 200
