"""What is sent to webhooks: a schema and an example for each event."""

from typing import Any

from aggregator.models import AlertKind, Event, OrderStatus

MOMENT = {"type": "string", "format": "date-time"}
ID = {"type": "string", "format": "uuid"}
PRICE = {"type": ["integer", "null"]}
_PRODUCT, _ORDER = "7b2f0c52-5f0e-4f57-9d0c-1f6d3c1b8a11", "c0e3b1b4-63a4-4d7c-9b1a-5d2f0a7e9c44"
_AT = "2026-11-30T09:15:02.118000Z"

Members = dict[str, tuple[dict[str, Any], str, Any]]  # schema, description, example

_CHANGE: Members = {
    "product_id": (ID, "The product.", _PRODUCT),
    "at": (MOMENT, "When it happened.", _AT),
    "cursor": ({"type": "integer"}, "Where it is in the feed of changes, `GET /api/v1/changes`.", 4711),
}
_OF_ORDER: Members = {
    "order_id": (ID, "The order.", _ORDER),
    "code": ({"type": "string"}, "Its short name.", "K7M2QX"),
    "total": ({"type": "integer"}, "What it comes to, in minor units.", 25800),
    "currency": ({"type": "string"}, "The currency of the prices, as in ISO 4217.", "EUR"),
    "at": (MOMENT, "When it happened.", _AT),
}
_LINE: Members = {
    "product_id": (ID, "The product.", _PRODUCT),
    "product_name": ({"type": "string"}, "Its name when it was ordered.", "Oak chair"),
    "quantity": ({"type": "integer"}, "How many.", 2),
    "unit_price": ({"type": "integer"}, "The price of one, in minor units.", 12900),
    "total": ({"type": "integer"}, "The price of all of them, in minor units.", 25800),
}
DATA: dict[Event, tuple[str, Members]] = {
    Event.PRODUCT_CREATED: ("A product has been created.", _CHANGE),
    Event.OFFERS_CHANGED: (
        "The offers of a product have changed.",
        _CHANGE
        | {
            "price_before": (PRICE, "The lowest price in stock before; null where it was sold out.", 129900),
            "lowest_price": (PRICE, "The lowest price in stock now; null where it is sold out.", 119900),
            "offer_count": ({"type": ["integer", "null"]}, "How many offers are open now.", 4),
        },
    ),
    Event.PRICE_ALERT: (
        "An alert of yours has fired.",
        {
            "alert_id": (ID, "The alert.", "0d9a5b8e-9a1c-4b8e-8f8a-2f6f1f0f6c10"),
            "kind": ({"type": "string", "enum": [*AlertKind]}, "What it waited for.", "below"),
            "text": ({"type": "string"}, "The same in words.", "is at or below your target"),
            "product_id": (ID, "The product.", _PRODUCT),
            "product_name": ({"type": "string"}, "Its name.", "Oak chair"),
            "price": (PRICE, "The lowest price in stock now; null where it is sold out.", 119900),
            "price_before": (PRICE, "The one before; null where it was sold out.", 129900),
            "change_percent": ({"type": ["number", "null"]}, "From that to this, where both are known.", -7.7),
            "currency": ({"type": "string"}, "The currency of the prices, as in ISO 4217.", "EUR"),
            "at": (MOMENT, "When the price moved.", _AT),
        },
    ),
    Event.ORDER_PLACED: (
        "You have placed an order.",
        _OF_ORDER | {"items": ({"type": "array"}, "Its lines.", None)},
    ),
    Event.ORDER_STATUS: (
        "An order of yours has got another status.",
        _OF_ORDER | {"status": ({"type": "string", "enum": [*OrderStatus]}, "The status that it has now.", "paid")},
    ),
    Event.TEST: (
        "You have asked for a test.",
        {"webhook_id": (ID, "The webhook.", "5a0f4c4e-6a55-4d7e-a1f5-0f9f1c0d7b21")},
    ),
}
_HEADERS = {
    "webhook-id": "The id of the message, the same with each attempt: a message that comes twice is recognised by it.",
    "webhook-timestamp": "When it is sent, in seconds since 1970.",
    "webhook-signature": "`v1,` and the signature, for each secret that is valid, with blanks between them.",
}
_DESCRIPTION = (
    "A message after Standard Webhooks (www.standardwebhooks.com). Verify the signature with the secret of the "
    "webhook, and answer with any 2xx within ten seconds. A 410 disables the webhook; what else fails is sent again."
)


def webhooks(document: dict[str, Any]) -> dict[str, Any]:
    """The webhooks of the document, whose schemas are added to its components."""
    schemas = document["components"]["schemas"]
    schemas["OrderedItem"] = _object("A line of an order.", _LINE)
    return {event.value: {"post": _message(schemas, event, *DATA[event])} for event in DATA}


def _message(schemas: dict[str, Any], event: Event, summary: str, members: Members) -> dict[str, Any]:
    name = "".join(part.capitalize() for part in event.value.split("."))
    schemas[f"{name}Data"] = _object(summary, members)
    if event is Event.ORDER_PLACED:
        schemas[f"{name}Data"]["properties"]["items"]["items"] = {"$ref": "#/components/schemas/OrderedItem"}
    schemas[f"{name}Message"] = _envelope(event, name, summary)
    schema = {"$ref": f"#/components/schemas/{name}Message"}
    example = {"type": event.value, "timestamp": _AT, "data": _example(members)}
    return {
        "summary": summary,
        "description": _DESCRIPTION,
        "tags": ["webhooks"],
        "parameters": [_header(header, text) for header, text in _HEADERS.items()],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"2XX": {"description": "Received."}, "410": {"description": "Send nothing here ever again."}},
        "security": [],
    }


def _envelope(event: Event, name: str, summary: str) -> dict[str, Any]:
    envelope: Members = {
        "type": ({"type": "string", "const": event.value}, "Which event it is.", event.value),
        "timestamp": (MOMENT, "When the message was queued.", _AT),
    }
    described = _object(summary, envelope)
    described["properties"]["data"] = {"$ref": f"#/components/schemas/{name}Data", "description": "What it is about."}
    described["required"].append("data")
    return described


def _object(description: str, members: Members) -> dict[str, Any]:
    properties = {
        name: schema | {"description": text} | ({} if example is None else {"examples": [example]})
        for name, (schema, text, example) in members.items()
    }
    return {"type": "object", "description": description, "properties": properties, "required": [*members]}


def _example(members: Members) -> dict[str, Any]:
    return {name: [_example(_LINE)] if name == "items" else example for name, (_, _, example) in members.items()}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}
