"""What webhooks receive is what the API's document says of each event."""

import json
from datetime import timedelta

import jsonschema_rs
from standardwebhooks import Webhook as Verifier

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import webhook_settings
from aggregator.flows.webhooks import Sending
from aggregator.models import AlertKind, Event, Role
from aggregator.models.outbox import SUBSCRIBABLE
from aggregator.services import announcements
from tests.builders import SECRET, create, make_alert, make_product, make_user, make_webhook, offer_id, sync
from tests.conftest import signed_in
from tests.documented import document
from tests.wire import http, says, wire

OK = says(http(204, b"", length=-1))
SENT = sorted([*SUBSCRIBABLE, Event.TEST])


def test_every_event_is_sent_as_the_document_describes_it(make_app):
    app = make_app(webhook_test_hosts=("127.0.0.1",))
    user_id = make_user(app, Role.ADMIN)
    me, now = signed_in(app, user_id), utcnow()
    product_id = make_product(app, price=500, stock=3)
    sync(app, product_id, {offer_id(1): (900, 1)}, now - timedelta(minutes=1))
    with app.app_context():
        in_transaction(lambda: announcements.announce("EUR", now))  # what has been before the webhook
    make_alert(app, user_id, product_id, AlertKind.ANY_CHANGE, by_mail=False, by_webhook=True)
    with wire(OK) as server:
        events = [event for event in SENT if event != Event.TEST]
        webhook_id = make_webhook(app, user_id, f"{server.url}/hook", events)

        assert create(me, "Lamp").status_code == 201
        sync(app, product_id, {offer_id(1): (800, 1)}, now)
        sync(app, product_id, {}, now + timedelta(seconds=1))
        order = me.post("/api/v1/orders", json={"items": [{"product_id": str(product_id), "quantity": 2}]}).json
        assert me.patch(f"/api/v1/orders/{order['id']}", json={"status": "paid"}).status_code == 200
        assert me.post(f"/api/v1/webhooks/{webhook_id}/test").status_code == 202
        with app.app_context():
            in_transaction(lambda: announcements.announce("EUR", utcnow()))
            Sending(webhook_settings()).run()

    messages = [Verifier(SECRET).verify(heard.body, heard.headers) for heard in server.heard]
    assert sorted({message["type"] for message in messages}) == SENT
    for message in messages:
        validate(document(app), message)


def validate(described: dict, message: dict) -> None:
    """Raise unless a message is as the document says, with all that it says and nothing else."""
    content = described["webhooks"][message["type"]]["post"]["requestBody"]["content"]["application/json"]
    whole = {**content["schema"], "components": described["components"]}
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(message)
    name = content["schema"]["$ref"].rpartition("/")[2]
    schemas = described["components"]["schemas"]
    assert set(message) == set(schemas[name]["properties"])
    assert set(message["data"]) == set(content["example"]["data"]), json.dumps(message)
