"""The words of the document that belong to no operation alone: its introduction, its tags, what usual members mean."""

from functools import cache
from pathlib import Path
from typing import Any

# In the order in which a newcomer needs them.
TAGS = {
    "accounts": "Register, sign in, renew tokens, sign out, and your own account.",
    "products": "The catalogue: list, search, filter, create, change and delete products.",
    "offers": "What other shops ask for a product, kept up to date from the offers service. Read-only.",
    "prices": "History, trend and insights: how prices have moved over time.",
    "alerts": "Be notified by mail or webhook when the price of a product moves.",
    "cart": "What you mean to order. Nothing is reserved by it.",
    "orders": "Order what is in the cart, or products directly; follow, change and cancel orders.",
    "categories": "The tree that products are filed in.",
    "images": "Pictures of products: upload, order, and two sizes to show.",
    "webhooks": "Have events sent to a URL of yours, signed; see what was sent, and send it again.",
    "changes": "The feed of changes, for those who keep a copy of the catalogue.",
    "import-export": "The whole catalogue as a file: CSV or JSON lines.",
    "users": "For admins: who there is, their roles, and whether they may sign in.",
    "health": "For platforms and operators: is it alive, is it ready, how is it doing.",
}
RENAMED = {"transfer": "import-export", "ops": "health"}

# What a member or a parameter means wherever it does not say so itself.
USUAL = {
    "access_token": "To send with each request, as `Authorization: Bearer ...`.",
    "active": "Whether it is active.",
    "alert_id": "The id of the alert.",
    "added": "How many were added.",
    "at": "When it was.",
    "attempts": "How often it has been tried.",
    "avg": "The average price, weighted by time, in minor units.",
    "brand": "The brand; null where there is none.",
    "by_mail": "Whether a mail is sent.",
    "by_webhook": "Whether it is sent to your webhooks that subscribe to `price.alert`.",
    "category": "The category it is in; null where it is in none.",
    "category_id": "The id of the category.",
    "change": "The difference, in minor units; negative where the price has fallen.",
    "changes": "How today's price differs from earlier ones.",
    "cooldown_seconds": "How long it is silent after it has fired.",
    "created_after": "Only what was created after this moment.",
    "created_at": "When it was created.",
    "currency": "The currency of all prices, as in ISO 4217.",
    "current_password": "The password that the account has now.",
    "data": "What the event is about; its members depend on `event`.",
    "days": "How many days it looks back; null for ever.",
    "delivery_id": "The id of the delivery.",
    "description": "The description; may be empty.",
    "difference": "In minor units.",
    "direction": "Which way it goes.",
    "done_at": "When it was delivered, or failed for good; null until then.",
    "email": "The e-mail address.",
    "enabled": "Whether anything is sent there.",
    "errors": "What is wrong, by place (`json`, `query`, `headers`, `files`) and field; or more about the problem.",
    "event": "Which event it is.",
    "events": "The events that are sent there.",
    "first_seen_at": "When the offer was first listed.",
    "format": "The format of the file.",
    "has_offers": "Whether the offers service lists an offer.",
    "history": "The statuses it has had, in their order.",
    "id": "The id.",
    "image_id": "The id of the image.",
    "interval": "How fine the points are.",
    "items": "The lines, one for each product.",
    "items_in_stock": "How many the shop has.",
    "kind": "What it waits for.",
    "last": "The price at the end, in minor units.",
    "last_seen_at": "When the offer was last listed.",
    "limit": "How many at most.",
    "line": "The number of the line in the file.",
    "max": "The highest price, in minor units.",
    "max_offer_price": "At most this `lowest_price`, in minor units.",
    "max_price": "At most this price, in minor units.",
    "max_rating": "At most this rating.",
    "max_stock": "At most this many in stock.",
    "min": "The lowest price, in minor units.",
    "min_price": "At least this price, in minor units.",
    "min_rating": "At least this rating.",
    "min_stock": "At least this many in stock.",
    "name": "The name.",
    "offer_id": "The id of the offer.",
    "offers": "The current offers, the cheapest first.",
    "offers_synced_at": "When the offers were last brought up to date; null before the first time.",
    "order_id": "The id of the order.",
    "own_against_market": "Our own price beside the market's lowest; null where one of them is missing.",
    "page_size": "How many on a page.",
    "parent_id": "The category it is a part of; null at the root.",
    "password": "The password.",
    "percent": "How far the price has to move, in percent.",
    "points": "The points, in the order of time.",
    "price": "In minor units; null where there is none.",
    "product_id": "The id of the product.",
    "product_name": "The name that the product had when it was ordered.",
    "products": "How many products there are.",
    "quantity": "How many pieces.",
    "rating": "From 0 to 5; null where there is none.",
    "reason": "Why.",
    "reasons": "Why it was rejected, in words.",
    "registered_at": "When it was registered; null before.",
    "registration": "Whether the offers service knows the product.",
    "registrations_pending": "Products that the offers service does not know yet.",
    "registrations_refused": "Products that the offers service refuses.",
    "rejected": "How many were rejected.",
    "request_id": "The id of the request; the log has it, too.",
    "role": "What somebody may do: `customer` or `admin`.",
    "slug": "The name in URLs.",
    "sold_out_at": "Since when it is sold out; null while it is in stock.",
    "status": "Its status.",
    "stock": "How many pieces we have.",
    "target": "The price to wait for, in minor units.",
    "total": "In minor units.",
    "type": "Which kind it is.",
    "unchanged": "How many were as they are already.",
    "unit_price": "The price of one, in minor units.",
    "updated": "How many were changed.",
    "updated_at": "When it was last changed.",
    "url": "Where messages are sent.",
    "user_id": "The id of the user.",
    "username": "The name to sign in with.",
    "webhook_id": "The id of the webhook.",
}


@cache
def introduction() -> str:
    """What to know before the first request, as Markdown."""
    return (Path(__file__).with_name("introduction.md")).read_text(encoding="utf-8")


def tag_of(path: str, blueprint: str) -> str:
    """The tag of an operation."""
    return "users" if path.startswith("/api/v1/users") else RENAMED.get(blueprint, blueprint)


def describe(document: dict[str, Any]) -> None:
    """Describe the parameters and members that do not do so themselves, as far as their names have a usual meaning."""
    for item in document["paths"].values():
        for part in (item, *(operation for operation in item.values() if isinstance(operation, dict))):
            for parameter in part.get("parameters", ()):
                _describe(parameter["name"], parameter)
    for schema in document["components"]["schemas"].values():
        for name, member in schema.get("properties", {}).items():
            _describe(name, member)


def _describe(name: str, described: dict[str, Any]) -> None:
    if name in USUAL:
        described.setdefault("description", USUAL[name])
