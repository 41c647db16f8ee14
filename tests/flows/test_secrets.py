"""Secrets in the database: encrypted, readable with former keys, and missed in plain words where their key is lost."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask
from standardwebhooks import Webhook as Verifier

from aggregator.clients.offers import OffersService, ServiceDown, TokenHeld, normalized_base_url
from aggregator.database import db
from aggregator.extensions import webhook_settings
from aggregator.flows.access import LOST
from aggregator.flows.webhooks import UNREADABLE, Sending
from aggregator.jobs.housekeeping import encrypt_secrets
from aggregator.jobs.run import Run
from aggregator.models import Access, Base, Delivery, Role, Webhook
from aggregator.sandbox import Sandbox
from aggregator.secret_box import MARK
from tests.apps import SECRET_KEY
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored
from tests.conftest import signed_in
from tests.flows.passes import end_pauses, hasty, statuses, the_access, the_token, token_source
from tests.wire import http, says, wire

OTHER_KEY = "another key than all the others have"
HERE = {"webhook_test_hosts": ("127.0.0.1",)}
OK = says(http(204, b"", length=-1))


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(**HERE)


def everything(app: Flask) -> str:
    """All texts of all columns of all tables."""
    with app.app_context(), db.engine.connect() as connection:
        rows = [row for table in Base.metadata.sorted_tables for row in connection.execute(sa.select(table)).all()]
    return "\n".join(str(value) for row in rows for value in row)


def deliver(app: Flask) -> dict[str, int]:
    with app.app_context():
        return dict(Sending(webhook_settings()).run())


def encrypt(app: Flask) -> int:
    with app.app_context():
        return encrypt_secrets(Run())


def token_of(app: Flask) -> str:
    source = token_source(app)
    with app.app_context():
        return source.token().value


def the_webhook(app: Flask) -> Webhook:
    (webhook,) = stored(app, Webhook)
    return webhook


def make_due(app: Flask) -> None:
    edit(app, Delivery, Delivery.status == "pending", due_at=LONG_AGO, claimed_by=None, claimed_until=None)


def test_no_table_has_a_plain_secret_after_webhooks_were_made_rotated_and_sent_to_and_offers_synced(app):
    user = make_user(app, Role.ADMIN)
    client = signed_in(app, user)
    with wire(OK) as server:
        made = client.post("/api/v1/webhooks", json={"url": server.url, "events": ["product.created"]}).json
        path = f"/api/v1/webhooks/{made['id']}"
        rotated = client.post(f"{path}/rotate-secret").json
        client.post("/api/v1/products", json={"name": "Lamp", "description": ""}, headers={"Idempotency-Key": "one"})
        assert client.post(f"{path}/test").status_code == 202
        deliver(app)
        for secret in (made["secret"], rotated["secret"]):
            assert Verifier(secret).verify(server.heard[0].body, server.heard[0].headers)["type"] == "webhook.test"

    found, token = everything(app), the_token(app)
    secrets = [made["secret"], rotated["secret"], token]
    assert all(secret.removeprefix("whsec_") not in found for secret in secrets)
    assert found.count(MARK) == 3


class TestAFormerKey:
    def test_is_read_until_all_is_encrypted_with_the_current_one(self, app, make_app):
        token = token_of(app)
        with wire(OK) as server:
            webhook_id = make_webhook(app, make_user(app), server.url)
            new = make_app(secret_key=OTHER_KEY, secret_key_fallbacks=(SECRET_KEY,), **HERE)
            assert token_of(new) == token
            make_delivery(new, webhook_id)
            assert deliver(new) == {"delivered": 1}

            assert [encrypt(new), encrypt(new)] == [2, 0]

            alone = make_app(secret_key=OTHER_KEY, **HERE)
            assert token_of(alone) == token
            make_delivery(alone, webhook_id)
            assert deliver(alone) == {"delivered": 1}
        for heard in server.heard:
            Verifier(SECRET).verify(heard.body, heard.headers)

    def test_encrypts_the_secret_before_a_rotation_anew_at_the_rotation(self, app, make_app):
        new = make_app(secret_key=OTHER_KEY, secret_key_fallbacks=(SECRET_KEY,), **HERE)
        user = make_user(new)
        with wire(OK) as server:
            webhook_id = make_webhook(app, user, server.url)
            rotated = signed_in(new, user).post(f"/api/v1/webhooks/{webhook_id}/rotate-secret").json["secret"]
            alone = make_app(secret_key=OTHER_KEY, **HERE)
            make_delivery(alone, webhook_id)
            deliver(alone)
        (heard,) = server.heard
        assert Verifier(SECRET).verify(heard.body, heard.headers) == Verifier(rotated).verify(heard.body, heard.headers)


class TestPlainSecrets:
    """As an older version stored them."""

    @pytest.fixture
    def token(self, app) -> str:
        token = token_of(app)
        edit(app, Access, token=token)
        return token

    def test_are_used_as_they_are(self, app, token, sandbox):
        with wire(OK) as server:
            webhook_id = make_webhook(app, make_user(app), server.url, secret=SECRET)
            make_delivery(app, webhook_id)
            assert deliver(app) == {"delivered": 1}
        assert Verifier(SECRET).verify(server.heard[0].body, server.heard[0].headers)
        assert token_of(app) == token
        assert statuses(sandbox, "auth") == [201]

    def test_are_encrypted_by_the_housekeeping_and_changed_in_nothing_else(self, app, token, now, monkeypatch):
        monkeypatch.setattr("aggregator.services.stored_secrets.AT_ONCE", 2)
        old = "whsec_" + "b2xk" * 8
        user = make_user(app)
        for _ in range(3):
            make_webhook(app, user, secret=SECRET, old_secret=old, old_secret_until=now)
        make_webhook(app, user, secret="", deleted_at=now)
        before = {webhook.id: webhook.updated_at for webhook in stored(app, Webhook)}

        assert [encrypt(app), encrypt(app)] == [7, 0]

        found = everything(app)
        assert [secret for secret in (SECRET, old, token) if secret in found] == []
        box = app.extensions["webhooks"].box
        there = [webhook for webhook in stored(app, Webhook) if not webhook.deleted_at]
        assert {(box.open(w.secret), box.open(w.old_secret), w.old_secret_until) for w in there} == {(SECRET, old, now)}
        assert {webhook.id: webhook.updated_at for webhook in stored(app, Webhook)} == before
        assert (the_token(app), the_access(app).in_doubt) == (token, False)


class TestALostKey:
    @pytest.fixture
    def lost(self, app, make_app) -> Flask:
        """An app with another SECRET_KEY, and without the former one."""
        return make_app(secret_key=OTHER_KEY, **HERE)

    def test_of_a_webhook_lets_messages_wait_until_the_secret_is_rotated(self, app, lost):
        user = make_user(app)
        with wire(OK) as server:
            webhook_id = make_webhook(app, user, server.url)
            make_delivery(app, webhook_id)
            assert deliver(lost) == {"failed": 1}
            (delivery,) = stored(app, Delivery)
            assert (delivery.status, delivery.error, server.heard) == ("pending", UNREADABLE, [])
            assert problems(lost) == 1

            rotated = signed_in(lost, user).post(f"/api/v1/webhooks/{webhook_id}/rotate-secret").json
            make_due(app)
            assert deliver(lost) == {"delivered": 1}

        assert rotated["old_secret_until"] is None
        assert Verifier(rotated["secret"]).verify(server.heard[0].body, server.heard[0].headers)
        lost.extensions.pop("status")
        assert problems(lost) == 0

    def test_that_comes_back_lets_them_go_on(self, app, lost, make_app):
        with wire(OK) as server:
            make_delivery(app, make_webhook(app, make_user(app), server.url))
            deliver(lost)
            make_due(app)

            assert deliver(make_app(secret_key=OTHER_KEY, secret_key_fallbacks=(SECRET_KEY,), **HERE)) == {
                "delivered": 1
            }
        assert Verifier(SECRET).verify(server.heard[0].body, server.heard[0].headers)

    def test_of_a_webhook_holds_up_no_other(self, app, lost):
        user = make_user(app)
        with wire(OK) as server:
            for maker in (app, lost):
                make_delivery(app, make_webhook(maker, user, server.url))

            assert deliver(lost) == {"failed": 1, "delivered": 1}

    def test_of_a_token_that_expires_has_another_fetched(self, app, lost, sandbox):
        token = token_of(app)
        with pytest.raises(TokenHeld):
            token_of(lost)
        assert the_token(app) == token  # others can still use it
        sandbox.forget_token()
        end_pauses(app)

        assert token_of(lost) != token
        assert lost.extensions["offers_box"].can_open(the_access(app).token)

    def test_of_the_token_of_the_first_generation_signs_up_for_no_other(self, make_app):
        with Sandbox("v1", tick=10**9) as first:
            service = OffersService(normalized_base_url(first.url))
            app = hasty(make_app(offers=service))
            token = token_of(app)
            lost = hasty(make_app(offers=service, secret_key=OTHER_KEY))
            for _ in range(3):
                with pytest.raises(ServiceDown, match="cannot be read: SECRET_KEY has changed"):
                    token_of(lost)
            status = lost.test_client().get("/status").json
            assert (status["token"], f"offers service, auth: {LOST}" in status["problems"]) == ("missing", True)
            end_pauses(app)
            with pytest.raises(ServiceDown):
                token_of(lost)
            assert statuses(first, "auth") == [201]

            again = hasty(make_app(offers=service, secret_key=OTHER_KEY, secret_key_fallbacks=(SECRET_KEY,)))
            assert token_of(again) == token


def problems(app: Flask) -> int:
    """How many webhooks /status says have secrets that cannot be read."""
    words = "webhooks whose secret cannot be read"
    found = [problem for problem in app.test_client().get("/status").json["problems"] if problem.startswith(words)]
    return int(found[0].rpartition(": ")[2]) if found else 0
