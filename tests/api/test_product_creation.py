"""POST /api/v1/products: what a product may be, and what becomes of it at the offers service."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from aggregator.clients.offers import OffersService
from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.models import Access, Circuit, Endpoint, Feed, IdempotencyKey, Product, Registration, Role
from aggregator.sandbox import Sandbox
from aggregator.services import access
from tests.builders import LONG_AGO, bearer, create, edit, make_user, sign_in, stored, the_feed
from tests.conftest import signed_in

URL = "/api/v1/products"


def calls(sandbox) -> list[tuple[str, int]]:
    """The calls that the service has seen, as (what, status)."""
    return [(call.path.rpartition("/")[2], call.status) for call in sandbox.calls]


def errors(response) -> dict:
    assert response.status_code == 422, response.json
    return response.json["errors"]["json"]


class TestProduct:
    def test_a_product_comes_back_as_it_was_sent_with_what_we_add(self, client):
        fields = {"description": "Warm", "brand": "Aurelo", "price": 1999, "stock": 3, "rating": 4.5}

        response = create(client, "Lamp", **fields)

        body = response.json
        assert response.status_code == 201
        assert {name: body[name] for name in fields} == fields
        assert body["name"] == "Lamp"
        assert body["offers"] == []
        assert (body["lowest_price"], body["offer_count"], body["offers_synced_at"]) == (None, 0, None)
        assert body["updated_at"] == body["created_at"]

    def test_what_is_left_out_has_a_plain_default(self, client):
        body = create(client, "Lamp").json

        assert {name: body[name] for name in ("brand", "price", "stock", "rating")} == {
            "brand": None,
            "price": None,
            "stock": 0,
            "rating": None,
        }

    def test_location_leads_to_what_was_answered(self, client):
        response = create(client)

        assert response.headers["Location"] == f"{URL}/{response.json['id']}"
        assert client.get(response.headers["Location"]).json == response.json

    def test_a_slash_at_the_end_does_not_matter(self, client):
        response = client.post(f"{URL}/", json={"name": "Lamp", "description": ""})

        assert response.status_code == 201
        assert response.headers["Location"] == f"{URL}/{response.json['id']}"

    def test_the_id_may_be_chosen(self, client, sandbox):
        chosen = str(uuid4())

        assert create(client, id=chosen).json["id"] == chosen
        assert list(sandbox.registered) == [chosen]

    @pytest.mark.parametrize("name", ["x", "x" * 255, "😀" * 255, "' \" \\ % _ {} , \n\t", "\u202eeman"])
    @pytest.mark.parametrize("description", ["", "ž" * 20_000])
    def test_any_text_is_kept_letter_by_letter(self, client, sandbox, name, description):
        body = create(client, name, description=description).json
        shown = client.get(f"{URL}/{body['id']}").json
        registered = sandbox.registered[body["id"]]

        assert (shown["name"], shown["description"]) == (name, description)
        assert (registered.name, registered.description) == (name, description)

    @pytest.mark.parametrize(
        "fields", [{"price": 0}, {"price": 10**12}, {"stock": 10**9}, {"rating": 0}, {"rating": 5}]
    )
    def test_the_bounds_themselves_are_allowed(self, client, fields):
        response = create(client, **fields)

        assert response.status_code == 201
        assert {name: response.json[name] for name in fields} == fields


class TestRefusedBodies:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 256}, "name"),
            ({"name": None}, "name"),
            ({"name": 5}, "name"),
            ({"name": ["x"]}, "name"),
            ({"name": "a\0b"}, "name"),
            ({"name": "\ud800"}, "name"),
            ({"description": None}, "description"),
            ({"description": "x" * 20_001}, "description"),
            ({"description": "\0"}, "description"),
            ({"description": "\udfff"}, "description"),
            ({"brand": "x" * 121}, "brand"),
            ({"brand": "\0"}, "brand"),
            ({"price": True}, "price"),
            ({"price": "100"}, "price"),
            ({"price": 1.5}, "price"),
            ({"price": -1}, "price"),
            ({"price": 10**12 + 1}, "price"),
            ({"price": 2**63}, "price"),
            ({"price": 10**400}, "price"),
            ({"price": [1]}, "price"),
            ({"stock": None}, "stock"),
            ({"stock": False}, "stock"),
            ({"stock": "3"}, "stock"),
            ({"stock": 10**9 + 1}, "stock"),
            ({"stock": -1}, "stock"),
            ({"rating": 5.1}, "rating"),
            ({"rating": -0.1}, "rating"),
            ({"rating": "4"}, "rating"),
            ({"rating": True}, "rating"),
            ({"id": "none"}, "id"),
            ({"id": 5}, "id"),
            ({"id": None}, "id"),
        ],
    )
    def test_a_field_that_makes_no_sense_is_named(self, app, client, sandbox, fields, field):
        response = client.post(URL, json={"name": "Lamp", "description": "", **fields})

        assert list(errors(response)) == [field]
        assert stored(app, Product) == []
        assert sandbox.calls == []

    def test_all_that_is_wrong_is_named_at_once(self, client):
        response = client.post(URL, json={"price": "x", "colour": "red"})

        assert errors(response) == {
            "name": ["Missing data for required field."],
            "description": ["Missing data for required field."],
            "price": ["Not a valid integer."],
            "colour": ["Unknown field."],
        }

    @pytest.mark.parametrize(
        "column",
        sorted(
            {column.key for model in (Product, Feed) for column in sa.inspect(model).columns}
            - {"id", "name", "description", "brand", "category_id", "price", "stock", "rating"}
            | {"registration", "offers", "offers_synced_at"}
        ),
    )
    def test_what_is_not_the_clients_to_say_is_refused(self, client, column):
        assert errors(create(client, **{column: 1})) == {column: ["Unknown field."]}

    @pytest.mark.parametrize("body", ["[]", "null", '"text"', "5", "true"])
    def test_a_body_that_is_no_object_is_refused(self, client, body):
        assert client.post(URL, data=body, content_type="application/json").status_code == 422

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"{'name': 1}",
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"name": "Lamp", "description": "", "price": ' + b"9" * 5_000 + b"}",
            b'{"name": "Lamp", "description": "", "rating": NaN}',
            b'{"name": "Lamp", "description": "", "rating": Infinity}',
        ],
        ids=range(10),
    )
    def test_what_is_no_json_is_a_400(self, client, body):
        response = client.post(URL, data=body, content_type="application/json")

        assert response.status_code == 400
        assert response.json["detail"] == "The body is not JSON that can be read."

    def test_a_number_too_large_for_a_float_is_refused(self, client):
        body = '{"name": "Lamp", "description": "", "rating": 1e400}'

        assert client.post(URL, data=body, content_type="application/json").status_code == 400

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json", None])
    def test_what_is_not_called_json_is_a_415(self, client, content_type):
        response = client.post(URL, data='{"name": "Lamp", "description": ""}', content_type=content_type)

        assert response.status_code == 415
        assert response.json["detail"] == "Send JSON, with Content-Type: application/json."

    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/vnd.lamp+json"])
    def test_json_by_any_name_is_read(self, client, content_type):
        response = client.post(URL, data='{"name": "Lamp", "description": ""}', content_type=content_type)

        assert response.status_code == 201

    def test_a_body_of_more_than_a_mebibyte_is_a_413(self, client):
        assert create(client, description="x" * 2**20).status_code == 413


class TestNames:
    def test_a_name_in_use_is_a_conflict_and_changes_nothing(self, app, client, sandbox):
        create(client, "Lamp")

        response = create(client, "Lamp", description="Another")

        assert response.status_code == 409
        assert response.json["detail"] == "There is a product named 'Lamp' already."
        assert [product.description for product in stored(app, Product)] == [""]
        assert len(sandbox.registered) == 1

    def test_names_differ_by_case_and_by_blanks(self, client):
        assert [create(client, name).status_code for name in ("Lamp", "lamp", "Lamp ")] == [201, 201, 201]

    def test_a_deleted_products_name_is_free_again(self, client):
        first = create(client, "Lamp")
        client.delete(first.headers["Location"])

        second = create(client, "Lamp")

        assert second.status_code == 201
        assert second.json["id"] != first.json["id"]

    def test_an_id_is_never_free_again(self, client):
        first = create(client, id=str(uuid4()))
        again = create(client, id=first.json["id"])
        client.delete(first.headers["Location"])
        after = create(client, id=first.json["id"])

        assert [again.status_code, after.status_code] == [409, 409]
        assert after.json["detail"] == "There is a product with this id already."

    def test_of_many_with_one_name_one_wins(self, app):
        admins = [signed_in(app, make_user(app, Role.ADMIN)) for _ in range(6)]
        with ThreadPoolExecutor(6) as threads:
            statuses = list(threads.map(lambda admin: create(admin, "Lamp").status_code, admins))

        assert sorted(statuses) == [201, 409, 409, 409, 409, 409]
        assert len(stored(app, Product)) == 1


class TestRegistration:
    """The creation table of the design."""

    def test_a_product_is_registered_in_the_request_that_creates_it(self, app, client, sandbox):
        response = create(client, "Lamp", description="Warm", headers={"X-Request-ID": "from-a-test"})

        product_id = response.json["id"]
        feed = the_feed(app, UUID(product_id))
        assert response.json["registration"]["status"] == "registered"
        assert response.json["registration"]["reason"] is None
        assert response.json["registration"]["registered_at"] >= response.json["created_at"]
        assert (sandbox.registered[product_id].name, sandbox.registered[product_id].description) == ("Lamp", "Warm")
        assert [call.request_id for call in sandbox.calls if call.product_id] == ["from-a-test"]
        assert feed.registered_with == app.extensions["settings"].offers.fingerprint
        assert (feed.claimed_by, feed.claimed_until, feed.attempts) == (None, None, 1)

    def test_its_first_sync_is_due_at_once(self, app, client):
        product_id = UUID(create(client).json["id"])

        feed = the_feed(app, product_id)
        assert feed.due_at <= utcnow()

    def test_the_token_is_asked_for_once(self, client, sandbox):
        create(client)
        create(client)

        assert calls(sandbox) == [("auth", 201), ("register", 201), ("register", 201)]

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ("500", "it answered 500"),
            ("502", "it answered 502"),
            ("503", "it answered 503"),
            ("503=1", "it answered 503"),
            ("504", "it answered 504"),
            ("429", "it answered 429"),
            ("403", "it answered 403"),
            ("404", "it answered 404"),
            ("redirect", "it answered 302"),
            ("html", "the answer is not JSON"),
            ("broken-json", "the answer is not JSON"),
            ("deep", "the answer is not JSON"),
            ("gzip", "the answer is not JSON"),
            ("drop", "connection cut off"),
            ("reset", "unreachable"),
            ("401", "the access token is refused"),
            ("500@auth", "it answered 500"),
            ("429@auth", "it answered 429"),
            ("html@auth", "the answer is not JSON"),
            ("empty@auth", "no access token in the answer"),
            ("broken-json@auth", "the answer is not JSON"),
            ("reset@auth", "unreachable"),
            ("401@auth", "the credentials are refused"),
            ("403@auth", "the credentials are refused"),
            ("422@auth", "the credentials are refused"),
            ("400@auth", "another access token is still valid"),
            ("redirect@auth", "it answered 302"),
        ],
    )
    def test_whatever_goes_wrong_the_product_is_there_and_pending(self, app, client, sandbox, fault, reason):
        sandbox.faults = [fault if "@" in fault else f"{fault}@register"]

        response = create(client, "Lamp")

        feed = the_feed(app, UUID(response.json["id"]))
        assert response.status_code == 201
        assert response.json["registration"] == {"status": "pending", "reason": reason, "registered_at": None}
        assert client.get(response.headers["Location"]).json == response.json
        assert (feed.claimed_by, feed.attempts) == (None, 1)

    @pytest.mark.parametrize("endpoint", ["register", "auth"])
    def test_a_hint_before_the_final_answer_is_no_trouble(self, client, sandbox, endpoint):
        sandbox.faults = [f"informational=103@{endpoint}"]

        response = create(client, "Lamp")

        assert response.json["registration"]["status"] == "registered"
        assert list(sandbox.registered) == [response.json["id"]]

    def test_the_product_is_there_while_the_service_is_gone(self, client, sandbox):
        sandbox.stop()

        response = create(client)

        assert response.status_code == 201
        assert response.json["registration"]["status"] == "pending"
        assert response.json["registration"]["reason"] == "unreachable"

    def test_the_worker_tries_again_in_some_seconds(self, app, client, sandbox):
        sandbox.faults = ["500@register"]

        product_id = UUID(create(client).json["id"])

        feed, product = the_feed(app, product_id), stored(app, Product)[0]
        assert timedelta(seconds=4.5) < feed.due_at - product.created_at < timedelta(seconds=14)

    @pytest.mark.parametrize(("header", "seconds"), [("120", 120), ("1000000000", 300), ("-5", 5), ("soon", 5)])
    def test_retry_after_is_obeyed_for_at_most_five_minutes(self, app, client, sandbox, header, seconds):
        sandbox.faults = [f"429={header}@register"]

        product_id = UUID(create(client).json["id"])

        pause = the_feed(app, product_id).due_at - stored(app, Product)[0].created_at
        assert timedelta(seconds=seconds - 0.5) < pause < timedelta(seconds=1.2 * seconds + 9)

    def test_a_fresh_token_is_asked_for_once_when_the_old_one_is_refused(self, app, client, sandbox):
        create(client)
        sandbox.forget_token()
        sandbox.calls.clear()

        response = create(client)

        assert response.json["registration"]["status"] == "registered"
        assert calls(sandbox) == [("register", 401), ("auth", 201), ("register", 201)]

    def test_tokens_that_are_refused_twice_stop_all_calls_for_a_while(self, make_app):
        in_a_hurry = count(time.time(), 10).__next__  # whatever token is given out is over by the next call
        with Sandbox(token_ttl=1, clock=in_a_hurry) as sandbox:
            service = OffersService(f"{sandbox.url}/api/v1", sandbox.refresh_token)
            app = make_app(offers=service)
            client = signed_in(app, make_user(app, Role.ADMIN))

            first = create(client)
            seen = calls(sandbox)
            create(client)
            sandbox.calls.clear()
            third = create(client)

            assert seen == [("auth", 201), ("register", 401), ("auth", 201), ("register", 401)]
            assert first.json["registration"]["reason"] == "the access token is refused"
            assert third.json["registration"]["reason"] == "a fresh access token is refused"
            assert sandbox.calls == []
            assert client.get("/status").json["paused_calls"] == {"auth": "a fresh access token is refused"}

    def test_health_says_that_the_credentials_are_refused(self, client, sandbox):
        sandbox.faults = ["401@auth"]
        create(client)

        assert client.get("/status").json["paused_calls"] == {"auth": "the credentials are refused"}

    def test_after_three_failures_the_service_is_left_alone(self, client, sandbox):
        sandbox.faults = ["500@register"]
        for _ in range(3):
            create(client)
        sandbox.calls.clear()

        response = create(client)

        assert response.json["registration"] == {
            "status": "pending",
            "reason": "it answered 500",
            "registered_at": None,
        }
        assert sandbox.calls == []

    def test_when_the_service_is_back_what_waited_is_due_at_once(self, app, client, sandbox):
        sandbox.faults = ["500@register"]
        waiting, *_ = [UUID(create(client).json["id"]) for _ in range(3)]
        sandbox.faults = []
        edit(app, Circuit, Circuit.endpoint == Endpoint.REGISTER, retry_at=LONG_AGO)

        create(client)

        assert the_feed(app, waiting).due_at <= utcnow()
        assert [circuit.failures for circuit in stored(app, Circuit, Circuit.endpoint == Endpoint.REGISTER)] == [0]

    def test_a_conflict_about_an_id_that_we_made_means_that_it_is_registered(self, client, sandbox):
        sandbox.faults = ["409@register"]

        response = create(client)

        assert response.status_code == 201
        assert response.json["registration"]["status"] == "registered"

    def test_an_id_that_the_client_chose_and_our_account_has_is_registered(self, app, client, sandbox):
        chosen = create(client, "Lamp", id=str(uuid4())).json["id"]
        with app.app_context(), transaction():
            db.session.execute(sa.delete(Feed))
            db.session.execute(sa.delete(Product))
        sandbox.calls.clear()

        response = create(client, "Lamp", id=chosen)

        assert response.status_code == 201
        assert response.json["registration"]["status"] == "registered"
        assert calls(sandbox) == [("register", 409), ("offers", 200)]

    def test_an_id_that_the_client_chose_and_somebody_else_has_is_a_conflict(self, app, client, sandbox):
        chosen = str(uuid4())
        sandbox.add_foreign_product(chosen)

        response = create(client, "Lamp", id=chosen)

        assert response.status_code == 409
        assert response.json["detail"] == "At the offers service this id belongs to another product."
        assert stored(app, Product) == []
        assert stored(app, Feed) == []
        assert create(client, "Lamp").status_code == 201

    def test_whose_id_it_is_can_be_found_out_later(self, app, client, sandbox):
        chosen = str(uuid4())
        sandbox.add_foreign_product(chosen)
        sandbox.faults = ["500@offers"]

        response = create(client, id=chosen)

        assert response.status_code == 201
        assert response.json["registration"]["status"] == "pending"
        assert the_feed(app, UUID(chosen)).id_is_ours is False

    @pytest.mark.parametrize("fault", ["422@register", "400@register"])
    def test_what_the_service_refuses_is_refused_in_its_words(self, app, client, sandbox, fault):
        sandbox.faults = [fault]

        response = create(client, "Lamp")

        assert response.status_code == 422
        assert response.json["detail"].startswith("The offers service refuses the product: ")
        assert len(response.json["detail"]) > len("The offers service refuses the product: ")
        assert stored(app, Product) == []
        assert stored(app, Feed) == []
        sandbox.faults = []
        assert create(client, "Lamp").status_code == 201

    def test_a_token_that_another_process_is_fetching_is_waited_for(self, app, client, sandbox, monkeypatch):
        monkeypatch.setattr("aggregator.flows.access.TokenSource.patience", 0.2, raising=False)
        with app.app_context(), transaction():
            assert access.take_lease("another")

        response = create(client)

        assert response.json["registration"]["reason"] == "another process is fetching the access token"
        assert sandbox.calls == []


class TestTotalTime:
    """The calls of one creation, all together, take no longer than 5 seconds: a client is waiting."""

    def timed(self, client) -> tuple[float, dict]:
        started = time.monotonic()
        response = create(client)
        assert response.status_code == 201
        return time.monotonic() - started, response.json["registration"]

    def test_five_seconds_are_the_limit(self, client, sandbox):
        sandbox.faults = ["timeout@register"]

        seconds, registration = self.timed(client)

        assert 4.5 < seconds < 9
        assert registration == {"status": "pending", "reason": "timed out", "registered_at": None}

    @pytest.mark.parametrize(
        "fault",
        [
            "timeout@register",
            "drip@register",
            "drip-headers@register",
            "endless@register",
            "timeout@auth",
            "drip@auth",
            "drip-headers@auth",
            "endless@auth",
        ],
    )
    def test_it_holds_however_slowly_the_answer_comes(self, client, sandbox, monkeypatch, fault):
        monkeypatch.setattr("aggregator.api.catalog.SECONDS", 0.6)
        sandbox.faults = [fault]

        seconds, registration = self.timed(client)

        assert seconds < 3
        assert registration["status"] == "pending"
        assert registration["reason"] in ("timed out", "answer too large")

    def test_it_holds_for_all_calls_together(self, client, sandbox, monkeypatch):
        monkeypatch.setattr("aggregator.api.catalog.SECONDS", 0.8)
        sandbox.latency_ms = 500

        seconds, registration = self.timed(client)

        assert seconds < 2.5
        assert registration["reason"] == "timed out"

    def test_what_was_registered_after_all_is_found_out_by_the_next_try(self, app, client, sandbox, monkeypatch):
        monkeypatch.setattr("aggregator.api.catalog.SECONDS", 0.6)
        sandbox.faults = ["timeout@register"]

        product_id = create(client).json["id"]

        assert product_id in sandbox.registered
        assert the_feed(app, UUID(product_id)).status is Registration.PENDING


class TestIdempotency:
    KEY = {"Idempotency-Key": "order-66"}

    def test_the_same_request_again_gets_the_same_answer(self, app, client, sandbox):
        first = create(client, "Lamp", headers=self.KEY)
        second = create(client, "Lamp", headers=self.KEY)

        assert (first.status_code, second.status_code) == (201, 201)
        assert second.data == first.data
        assert second.headers["Location"] == first.headers["Location"]
        assert "Idempotency-Replayed" not in first.headers
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(sandbox.registered) == len(stored(app, Product)) == 1

    def test_the_answer_stays_the_first_one_whatever_happened_since(self, client):
        first = create(client, "Lamp", headers=self.KEY)
        client.patch(first.headers["Location"], json={"stock": 9})

        assert create(client, "Lamp", headers=self.KEY).data == first.data

    def test_how_the_json_is_spelled_does_not_matter(self, client):
        bodies = ['{"name": "Lamp", "description": ""}', '{ "description":"", "stock":0, "name": "\\u004camp" }']

        answers = [client.post(URL, data=b, content_type="application/json", headers=self.KEY) for b in bodies]

        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].data == answers[1].data

    def test_another_body_is_refused(self, app, client):
        create(client, "Lamp", headers=self.KEY)

        response = create(client, "Chair", headers=self.KEY)

        assert response.status_code == 422
        assert response.json["detail"] == "This Idempotency-Key was used for another request."
        assert [product.name for product in stored(app, Product)] == ["Lamp"]

    def test_a_second_request_while_the_first_is_being_worked_on_is_told_so(self, app, client):
        create(client, "Lamp", headers=self.KEY)
        edit(app, IdempotencyKey, answer=None)

        response = create(client, "Lamp", headers=self.KEY)

        assert response.status_code == 409
        assert response.headers["Retry-After"] == "1"
        assert "still being worked on" in response.json["detail"]

    def test_a_first_request_that_was_abandoned_is_answered_with_what_it_made(self, app, client, sandbox):
        first = create(client, "Lamp", headers=self.KEY)
        (key,) = stored(app, IdempotencyKey)
        edit(app, IdempotencyKey, answer=None, created_at=key.created_at - timedelta(seconds=16))

        second, third = create(client, "Lamp", headers=self.KEY), create(client, "Lamp", headers=self.KEY)

        assert [second.status_code, third.status_code] == [201, 201]
        assert second.json["id"] == third.json["id"] == first.json["id"]
        assert second.headers["Idempotency-Replayed"] == "true"
        assert len(sandbox.registered) == 1

    def test_a_pending_product_is_replayed_too(self, app, client, sandbox):
        sandbox.faults = ["500@register"]

        first, second = create(client, "Lamp", headers=self.KEY), create(client, "Lamp", headers=self.KEY)

        assert second.data == first.data
        assert len(stored(app, Product)) == 1

    @pytest.mark.parametrize("fault", ["422@register", "foreign"])
    def test_a_request_that_came_to_nothing_may_be_made_again(self, app, client, sandbox, fault):
        chosen = str(uuid4())
        if fault == "foreign":
            sandbox.add_foreign_product(chosen)
        else:
            sandbox.faults = [fault]
        refused = create(client, "Lamp", id=chosen, headers=self.KEY)
        sandbox.faults = []
        sandbox.forget_product(chosen)

        again = create(client, "Lamp", id=chosen, headers=self.KEY)

        assert refused.status_code in (409, 422)
        assert again.status_code == 201
        assert "Idempotency-Replayed" not in again.headers

    def test_a_name_in_use_does_not_use_up_the_key(self, app, client):
        taken = create(client, "Lamp")
        refused = create(client, "Lamp", description="New", headers=self.KEY)
        client.delete(taken.headers["Location"])

        assert refused.status_code == 409
        assert create(client, "Lamp", description="New", headers=self.KEY).status_code == 201

    @pytest.mark.parametrize("key", ["x" * 256, ""])
    def test_a_key_that_makes_no_sense_is_refused(self, client, key):
        response = create(client, headers={"Idempotency-Key": key})

        assert response.status_code == 422
        assert list(response.json["errors"]["headers"]) == ["Idempotency-Key"]

    def test_of_many_at_once_one_is_done(self, app, sandbox):
        admin = make_user(app, Role.ADMIN)  # a key is its user's own
        clients = [signed_in(app, admin) for _ in range(6)]
        with ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda client: create(client, "Lamp", headers=self.KEY), clients))

        made = {answer.json["id"] for answer in answers if answer.status_code == 201}
        assert len(made) == len(stored(app, Product)) == len(sandbox.registered) == 1
        assert {answer.status_code for answer in answers} <= {201, 409}


@pytest.mark.parametrize("when", ["from the beginning", "once the token has been checked"])
def test_without_a_database_the_service_is_not_called(make_app, app, sandbox, database_url, tmp_path, when):
    nowhere = (
        database_url.set(database=str(tmp_path))
        if database_url.get_backend_name() == "sqlite"
        else database_url.set(query={"host": str(tmp_path)})
    )
    cut_off = make_app(database_url=nowhere, jwt_secret_key=app.extensions["settings"].jwt_secret_key)
    if when == "once the token has been checked":
        cut_off.extensions["reader"] = app.extensions["reader"]  # what only reads still works
    token = sign_in(app, make_user(app, Role.ADMIN))["access_token"]

    response = create(cut_off.test_client(), headers=bearer(token))

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json["detail"] == "The service cannot answer just now. Try again in a moment."
    assert sandbox.calls == []


def test_a_token_of_the_first_generation_is_used_as_it_is(make_app, service, sandbox, client):
    create(client)
    (access,) = stored(client.application, Access)
    token = client.application.extensions["offers_box"].open(access.token)
    given = type(service)(service.base_url, None, token)
    sandbox.calls.clear()

    other = make_app(offers=given)
    response = create(signed_in(other, make_user(other, Role.ADMIN)))

    assert response.json["registration"]["status"] == "registered"
    assert calls(sandbox) == [("register", 201)]
