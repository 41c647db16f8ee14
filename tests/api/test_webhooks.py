"""/api/v1/webhooks: users manage where they are told of events, and see what was sent there."""

import re
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from aggregator.clients.addresses import NOT_A_URL, NOT_HTTPS, NOT_PUBLIC
from aggregator.clock import utcnow
from aggregator.models import Delivery, DeliveryStatus, Event, Subscription, Webhook
from aggregator.models.outbox import SUBSCRIBABLE
from aggregator.schemas.webhooks import DeliverySchema, DeliveryWithDataSchema, NewWebhookSchema, WebhookSchema
from aggregator.services.webhooks import MAX_WEBHOOKS
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored
from tests.conftest import signed_in

URL = "https://shop.example.com/hook"
ALL_EVENTS = sorted(event.value for event in SUBSCRIBABLE)


@pytest.fixture
def user_id(app) -> UUID:
    return make_user(app)


@pytest.fixture
def client(app, user_id) -> FlaskClient:
    """A client that is signed in as a customer."""
    return signed_in(app, user_id)


def create(client: FlaskClient, **fields: object):
    return client.post("/api/v1/webhooks", json={"url": URL, "events": ["product.created"]} | fields)


def the_webhook(app) -> Webhook:
    (webhook,) = stored(app, Webhook)
    return webhook


def the_secrets(app) -> tuple[str, str | None]:
    """The secrets of the only webhook, decrypted: the current one and the one before."""
    webhook, box = the_webhook(app), app.extensions["webhooks"].box
    return box.open(webhook.secret), webhook.old_secret and box.open(webhook.old_secret)


def key_of(secret: str) -> bytes:
    prefix, _, key = secret.partition("_")
    assert prefix == "whsec"
    return b64decode(key, validate=True)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class TestCreation:
    def test_answers_with_the_webhook_and_its_secret(self, app, client):
        answer = create(client, events=["price.alert", "product.created", "price.alert"])

        assert answer.status_code == 201
        assert list(answer.json) == list(NewWebhookSchema().fields)
        webhook = answer.json
        assert answer.headers["Location"] == f"/api/v1/webhooks/{webhook['id']}"
        assert (webhook["url"], webhook["events"]) == (URL, ["price.alert", "product.created"])
        assert (webhook["enabled"], webhook["disabled_reason"], webhook["failing_since"]) == (True, None, None)
        assert abs(moment(webhook["created_at"]) - utcnow()) < timedelta(seconds=5)
        assert len(key_of(webhook["secret"])) == 32
        assert webhook["secret"] == the_secrets(app)[0]

    def test_tells_the_secret_never_again(self, client):
        secret = create(client).json["secret"]
        own = f"/api/v1/webhooks/{client.get('/api/v1/webhooks').json[0]['id']}"
        answers = [
            client.get("/api/v1/webhooks"),
            client.get(own),
            client.patch(own, json={"events": ["price.alert"]}),
            client.post(f"{own}/test"),
            client.get(f"{own}/deliveries"),
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 202, 200]
        assert [answer for answer in answers if secret in answer.text or "whsec" in answer.text] == []

    def test_gives_each_webhook_a_secret_of_its_own(self, client):
        assert len({create(client).json["secret"] for _ in range(5)}) == 5

    def test_spells_the_url_as_everybody_reads_it(self, client):
        assert create(client, url="HTTPS://B\u00fccher.Example:443").json["url"] == "https://xn--bcher-kva.example/"

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("http://shop.example.com/", NOT_HTTPS),
            ("https://127.0.0.1/", NOT_PUBLIC),
            ("https://localhost/", NOT_PUBLIC),
            ("https://[::ffff:10.0.0.1]/", NOT_PUBLIC),
            ("https://user:password@shop.example.com/", NOT_A_URL),
            ("https://shop.example.com:8443/", "The port must be 443."),
            (f"https://shop.example.com/{'x' * 1_976}", "Length must be between 1 and 2000."),
            ("", "Length must be between 1 and 2000."),
        ],
    )
    def test_refuses_a_url_that_nothing_can_be_sent_to(self, app, client, url, reason):
        answer = create(client, url=url)

        assert answer.status_code == 422
        assert answer.json["errors"]["json"] == {"url": [reason]}
        assert stored(app, Webhook) == []

    def test_takes_a_url_as_long_as_can_be_stored(self, client):
        url = f"https://shop.example.com/{'x' * 1_975}"

        assert len(url) == 2_000
        assert create(client, url=url).json["url"] == url

    def test_refuses_a_url_that_is_too_long_only_when_it_is_spelled_out(self, app, client):
        url = f"https://b\u00fccher.example/{'x' * 1_975}"

        assert len(url) == 1_998
        assert create(client, url=url).json["errors"]["json"] == {"url": ["Must not exceed 2000 characters."]}
        assert stored(app, Webhook) == []

    @pytest.mark.parametrize("events", [[], ["daily"], ["webhook.test"], ["product.created", "x"], "product.created"])
    def test_refuses_events_that_nobody_is_told_of(self, client, events):
        answer = create(client, events=events)

        assert answer.status_code == 422
        assert list(answer.json["errors"]["json"]) == ["events"]

    @pytest.mark.parametrize("missing", ["url", "events"])
    def test_needs_both(self, client, missing):
        body = {"url": URL, "events": ["price.alert"]}
        del body[missing]

        assert list(client.post("/api/v1/webhooks", json=body).json["errors"]["json"]) == [missing]

    def test_ends_at_ten(self, app, client):
        made = [create(client) for _ in range(MAX_WEBHOOKS)]
        one_more = create(client)

        assert {answer.status_code for answer in made} == {201}
        assert (one_more.status_code, one_more.json["detail"]) == (
            409,
            "You have 10 webhooks already; delete one first.",
        )
        assert create(signed_in(app, make_user(app))).status_code == 201
        client.delete(f"/api/v1/webhooks/{made[0].json['id']}")
        assert create(client).status_code == 201

    def test_ends_at_ten_for_many_at_once_too(self, app, user_id):
        for _ in range(MAX_WEBHOOKS - 2):
            make_webhook(app, user_id)
        clients = [signed_in(app, user_id) for _ in range(6)]

        with ThreadPoolExecutor(6) as threads:
            statuses = sorted(answer.status_code for answer in threads.map(create, clients))

        assert statuses == [201, 201, 409, 409, 409, 409]


class TestReading:
    def test_shows_what_the_schema_says(self, app, client, user_id):
        make_webhook(app, user_id)
        full = make_webhook(
            app,
            user_id,
            events=[event.value for event in SUBSCRIBABLE],
            enabled=False,
            disabled_reason="failing",
            failing_since=LONG_AGO,
            old_secret=SECRET,
            old_secret_until=LONG_AGO,
            created_at=LONG_AGO + timedelta(days=1),
        )
        documents = {
            str(webhook.id): WebhookSchema().dump(
                {name: getattr(webhook, name) for name in WebhookSchema().fields if name != "events"}
                | {"events": ALL_EVENTS if webhook.id == full else ["product.created"]}
            )
            for webhook in stored(app, Webhook)
        }
        listed = client.get("/api/v1/webhooks").json

        assert {webhook["id"]: webhook for webhook in listed} == documents
        assert {id: client.get(f"/api/v1/webhooks/{id}").json for id in documents} == documents
        assert list(listed[0]) == list(WebhookSchema().fields)

    def test_lists_your_own_the_oldest_first_by_pages(self, app, client, user_id):
        ids = [make_webhook(app, user_id, created_at=LONG_AGO + timedelta(days=n)) for n in range(3)]
        make_webhook(app, make_user(app))
        answer = client.get("/api/v1/webhooks?page_size=2")

        assert [webhook["id"] for webhook in answer.json] == [str(id) for id in ids[:2]]
        assert '"total": 3' in answer.headers["X-Pagination"]
        newest = client.get("/api/v1/webhooks?sort=-created_at").json
        assert [webhook["id"] for webhook in newest] == [str(id) for id in reversed(ids)]

    def test_knows_whether_you_have_it_already(self, app, client, user_id):
        url = f"/api/v1/webhooks/{make_webhook(app, user_id)}"
        tag = client.get(url).headers["ETag"]

        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304
        client.patch(url, json={"enabled": False})
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 200


class TestChanges:
    @pytest.fixture
    def path(self, app, user_id) -> str:
        failing = {"failing_since": LONG_AGO, "enabled": False, "disabled_reason": "failing"}
        return f"/api/v1/webhooks/{make_webhook(app, user_id, **failing)}"

    def test_are_shown_and_dated(self, client, path):
        changed = client.patch(path, json={"url": "https://other.example/", "events": ["price.alert"]}).json

        assert (changed["url"], changed["events"]) == ("https://other.example/", ["price.alert"])
        assert abs(moment(changed["updated_at"]) - utcnow()) < timedelta(seconds=5)
        assert (changed["enabled"], changed["disabled_reason"]) == (False, "failing")
        assert changed["failing_since"] is None  # that was the other place

    def test_of_nothing_change_nothing(self, app, client, path):
        before = client.get(path).json

        assert client.patch(path, json={}).json == before
        same = client.patch(path, json={"url": before["url"]}).json
        assert {**same, "updated_at": before["updated_at"]} == before

    def test_enabling_it_again_forgets_what_was_wrong(self, client, path):
        changed = client.patch(path, json={"enabled": True}).json

        assert (changed["enabled"], changed["disabled_reason"], changed["failing_since"]) == (True, None, None)

    def test_disabling_it_ends_what_waits_to_be_sent(self, app, client, user_id):
        webhook_id, other = make_webhook(app, user_id), make_webhook(app, user_id)
        waiting, arrived = make_delivery(app, webhook_id), make_delivery(app, webhook_id, status="delivered")
        elsewhere = make_delivery(app, other)

        changed = client.patch(f"/api/v1/webhooks/{webhook_id}", json={"enabled": False}).json

        found = {delivery.id: delivery for delivery in stored(app, Delivery)}
        assert (changed["enabled"], changed["disabled_reason"]) == (False, None)
        assert (found[waiting].status, found[waiting].error) == (DeliveryStatus.FAILED, "disabled")
        assert found[waiting].done_at is not None
        assert found[arrived].status == DeliveryStatus.DELIVERED
        assert found[elsewhere].status == DeliveryStatus.PENDING

    def test_to_what_cannot_be_are_refused_as_a_whole(self, app, client, path):
        before = client.get(path).json
        bodies = [
            {"enabled": True, "url": "https://10.0.0.1/"},
            {"enabled": True, "events": []},
            {"enabled": None},
            {"enabled": "true"},
            {"secret": "whsec_eA=="},
            {"user_id": str(uuid4())},
        ]

        assert {client.patch(path, json=body).status_code for body in bodies} == {422}
        assert client.get(path).json == before

    def test_a_deleted_one_is_not_there_any_more_and_gets_nothing(self, app, client, user_id):
        webhook_id, other = make_webhook(app, user_id), make_webhook(app, user_id)
        path = f"/api/v1/webhooks/{webhook_id}"
        delivery = f"{path}/deliveries/{make_delivery(app, webhook_id)}"
        kept = make_delivery(app, other)
        calls = [("GET", path), ("DELETE", path), ("GET", f"{path}/deliveries"), ("GET", delivery)]
        calls += [("POST", f"{path}/rotate-secret"), ("POST", f"{path}/test"), ("POST", f"{delivery}/redeliver")]

        assert client.delete(path).status_code == 204
        answers = [client.open(path, method=method) for method, path in calls] + [client.patch(path, json={})]
        assert [answer.status_code for answer in answers] == [404] * 8
        assert [webhook["id"] for webhook in client.get("/api/v1/webhooks").json] == [str(other)]
        pending = stored(app, Delivery, Delivery.status == DeliveryStatus.PENDING)
        assert [delivery.id for delivery in pending] == [kept]
        assert {subscription.webhook_id for subscription in stored(app, Subscription)} == {other}


class TestSecrets:
    def test_a_new_one_is_shown_once_and_the_old_one_signs_for_a_day(self, app, client):
        created = create(client).json
        rotated = client.post(f"/api/v1/webhooks/{created['id']}/rotate-secret")

        assert rotated.status_code == 200
        assert list(rotated.json) == list(NewWebhookSchema().fields)
        assert len(key_of(rotated.json["secret"])) == 32
        assert rotated.json["secret"] != created["secret"]
        left = moment(rotated.json["old_secret_until"]) - utcnow()
        assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
        assert the_secrets(app) == (rotated.json["secret"], created["secret"])

    def test_a_second_rotation_forgets_the_first_secret(self, app, client):
        created = create(client).json
        path = f"/api/v1/webhooks/{created['id']}/rotate-secret"
        second, third = client.post(path).json["secret"], client.post(path).json["secret"]

        assert the_secrets(app) == (third, second)

    def test_are_in_no_log_line(self, app, client, caplog):
        created = create(client).json
        rotated = client.post(f"/api/v1/webhooks/{created['id']}/rotate-secret").json

        assert [secret for secret in (created["secret"], rotated["secret"]) if secret in caplog.text] == []


class TestTests:
    def test_queue_a_message_that_says_nothing(self, app, client, user_id):
        webhook_id = make_webhook(app, user_id)
        answer = client.post(f"/api/v1/webhooks/{webhook_id}/test")

        assert answer.status_code == 202
        assert (answer.json["event"], answer.json["status"]) == ("webhook.test", "pending")
        assert answer.json["data"] == {"webhook_id": str(webhook_id)}
        (delivery,) = stored(app, Delivery)
        assert (delivery.event, delivery.user_id, delivery.webhook_id) == (Event.TEST, user_id, webhook_id)

    def test_are_queued_one_at_a_time(self, app, client, user_id):
        path = f"/api/v1/webhooks/{make_webhook(app, user_id)}/test"

        assert [client.post(path).status_code for _ in range(2)] == [202, 409]
        edit(app, Delivery, status=DeliveryStatus.DELIVERED)
        assert client.post(path).status_code == 202

    def test_go_to_no_webhook_that_is_disabled(self, app, client, user_id):
        answer = client.post(f"/api/v1/webhooks/{make_webhook(app, user_id, enabled=False)}/test")

        assert (answer.status_code, answer.json["detail"]) == (409, "The webhook is disabled; enable it first.")
        assert stored(app, Delivery) == []


class TestDeliveries:
    @pytest.fixture
    def webhook_id(self, app, user_id) -> UUID:
        return make_webhook(app, user_id)

    def test_show_what_the_schema_says(self, app, client, webhook_id):
        data = {"text": '" \\ \u2028 \U0001f600', "price": None, "big": 10**12, "list": [1.5, True]}
        make_delivery(app, webhook_id, data)
        make_delivery(
            app,
            webhook_id,
            data,
            status="failed",
            attempts=7,
            status_code=503,
            error='answered 503 "',
            done_at=LONG_AGO,
            event=Event.PRICE_ALERT,
        )
        documents = {}
        for delivery in stored(app, Delivery):
            fields = {name: getattr(delivery, name, None) for name in DeliveryWithDataSchema().fields}
            pending = delivery.status == DeliveryStatus.PENDING
            fields |= {"next_attempt_at": delivery.due_at if pending else None, "data": data}
            documents[str(delivery.id)] = DeliveryWithDataSchema().dump(fields)
        path = f"/api/v1/webhooks/{webhook_id}/deliveries"
        listed = client.get(path).json

        assert {id: client.get(f"{path}/{id}").json for id in documents} == documents
        without = {id: {k: v for k, v in document.items() if k != "data"} for id, document in documents.items()}
        assert {delivery["id"]: delivery for delivery in listed} == without
        assert list(listed[0]) == list(DeliverySchema().fields)

    def test_come_newest_first_by_pages_and_by_status(self, app, client, webhook_id):
        statuses = ["pending", "delivered", "failed", "delivered"]
        ids = [
            str(make_delivery(app, webhook_id, status=status, created_at=LONG_AGO + timedelta(seconds=n)))
            for n, status in enumerate(statuses)
        ]
        make_delivery(app, make_webhook(app, make_user(app)))
        path = f"/api/v1/webhooks/{webhook_id}/deliveries"
        first = client.get(f"{path}?page_size=3")
        (cursor,) = re.findall(r"cursor=([\w-]+)", first.headers["Link"])

        assert [delivery["id"] for delivery in first.json] == [ids[3], ids[2], ids[1]]
        assert [delivery["id"] for delivery in client.get(f"{path}?cursor={cursor}").json] == [ids[0]]
        assert '"total": 4' in first.headers["X-Pagination"]
        delivered = client.get(f"{path}?status=delivered&sort=created_at").json
        assert [delivery["id"] for delivery in delivered] == [ids[1], ids[3]]
        assert client.get(f"{path}?status=lost").status_code == 422

    def test_that_have_ended_can_be_sent_again(self, app, client, webhook_id):
        ended = {"attempts": 7, "status_code": 500, "error": "answered 500", "done_at": LONG_AGO}
        delivery_id = make_delivery(app, webhook_id, status="failed", **ended)
        answer = client.post(f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")

        assert answer.status_code == 202
        again = answer.json
        assert (again["id"], again["status"], again["attempts"]) == (str(delivery_id), "pending", 0)
        assert (again["done_at"], again["status_code"], again["error"]) == (None, 500, "answered 500")
        assert abs(moment(again["next_attempt_at"]) - utcnow()) < timedelta(seconds=5)

    def test_that_wait_need_wait_no_longer_and_keep_count(self, app, client, webhook_id):
        later = utcnow() + timedelta(hours=10)
        delivery_id = make_delivery(app, webhook_id, attempts=6, due_at=later, claimed_by="x", claimed_until=later)
        again = client.post(f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver").json

        assert (again["status"], again["attempts"]) == ("pending", 6)
        assert moment(again["next_attempt_at"]) < later
        assert stored(app, Delivery)[0].claimed_by == "x"  # one attempt is under way: not two at once

    def test_are_not_sent_again_to_a_webhook_that_is_disabled(self, app, client, webhook_id):
        delivery_id = make_delivery(app, webhook_id, status="failed")
        edit(app, Webhook, enabled=False)

        assert client.post(f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver").status_code == 409
        assert stored(app, Delivery)[0].status == DeliveryStatus.FAILED

    def test_of_another_webhook_of_yours_are_not_found_under_this_one(self, app, client, user_id, webhook_id):
        elsewhere = make_delivery(app, make_webhook(app, user_id))
        path = f"/api/v1/webhooks/{webhook_id}/deliveries/{elsewhere}"

        assert client.get(path).status_code == 404
        assert client.post(f"{path}/redeliver").status_code == 404


def test_what_is_somebody_elses_is_not_there(app, client):
    webhook_id = make_webhook(app, make_user(app))
    delivery_id = make_delivery(app, webhook_id, status="failed")
    own, log = f"/api/v1/webhooks/{webhook_id}", f"/api/v1/webhooks/{webhook_id}/deliveries"
    before = (stored(app, Webhook)[0].updated_at, stored(app, Delivery)[0].status)
    calls = [("GET", own), ("DELETE", own), ("GET", log), ("GET", f"{log}/{delivery_id}")]
    calls += [("POST", f"{own}/rotate-secret"), ("POST", f"{own}/test"), ("POST", f"{log}/{delivery_id}/redeliver")]

    answers = [client.open(path, method=method) for method, path in calls] + [client.patch(own, json={})]

    assert {answer.status_code for answer in answers} == {404}
    assert (stored(app, Webhook)[0].updated_at, stored(app, Delivery)[0].status) == before
    assert client.get("/api/v1/webhooks").json == []
