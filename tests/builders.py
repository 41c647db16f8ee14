"""Builders of what tests begin with: rows in the database, answers of the offers service, requests."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import DeclarativeBase
from werkzeug.test import TestResponse

from aggregator.auth import tokens_for
from aggregator.clients.offer_rows import OfferRows
from aggregator.clock import utcnow
from aggregator.database import db, in_transaction, transaction
from aggregator.extensions import webhook_box
from aggregator.folding import folded
from aggregator.models import (
    AlertKind,
    Channel,
    Delivery,
    Event,
    Feed,
    Image,
    ImageBlob,
    ImageStatus,
    MovementKind,
    Offer,
    PricePoint,
    Product,
    Registration,
    Role,
    Subscription,
    User,
    Variant,
    Webhook,
)
from aggregator.services import alerts, carts, categories, feeds, orders, search, sign_ins, stock
from aggregator.services.feeds import Claimed
from aggregator.services.idempotency import RequestKey
from aggregator.services.orders import Purchase
from aggregator.services.passwords import NOBODYS
from aggregator.services.sync import Answer, apply

SECRET = "whsec_" + "c2VjcmV0" * 5  # of every webhook that a test makes
LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
Model = TypeVar("Model", bound=DeclarativeBase)
_numbers = count(1)


def make_product(app: Flask, feed: Mapping[str, Any] | None = None, **fields: Any) -> UUID:
    """A product in the database, registered and due; feed says what is different about its feed."""
    number = next(_numbers)
    product = {"id": uuid4(), "name": f"Product {number}", "description": "", "created_at": LONG_AGO} | fields
    product = {"updated_at": product["created_at"]} | product
    with app.app_context(), transaction():
        db.session.add(Product(**product))
        db.session.flush()
        search.index([product])
        db.session.add(Feed(product_id=product["id"], **_registered(app) | dict(feed or {})))
        stock.note(MovementKind.INITIAL, {product["id"]: product.get("stock", 0)}, product["created_at"])
    product_id: UUID = product["id"]
    return product_id


def _registered(app: Flask) -> dict[str, Any]:
    return {
        "status": Registration.REGISTERED,
        "registered_at": LONG_AGO,
        "registered_with": app.extensions["settings"].offers.fingerprint,
        "attempts": 1,
        "due_at": LONG_AGO,
    }


def make_user(app: Flask, role: Role = Role.CUSTOMER, **fields: Any) -> UUID:
    """A user in the database; nobody knows the password."""
    name = f"user-{next(_numbers)}"
    user = {"id": uuid4(), "username": name, "email": f"{name}@example.com", "role": role, "created_at": LONG_AGO}
    user = user | {"password_hash": NOBODYS, "updated_at": LONG_AGO} | fields
    keys = {"username_key": folded(user["username"]), "email_key": folded(user["email"])}
    with app.app_context(), transaction():
        db.session.add(User(**user, **keys))
    return user["id"]


def sign_in(app: Flask, user_id: UUID) -> dict[str, Any]:
    """The tokens of a new sign-in of a user, as a login answers with them."""
    with app.app_context():
        life = timedelta(seconds=app.extensions["settings"].refresh_token_seconds)
        sign_in = in_transaction(lambda: sign_ins.begin(db.session.get_one(User, user_id), utcnow(), life))
        return tokens_for(sign_in)


def make_alert(
    app: Flask, user_id: UUID, product_id: UUID | None, kind: AlertKind = AlertKind.ANY_CHANGE, **fields: Any
) -> UUID:
    """An alert of a user, made now; its fields as POST /api/v1/alerts takes them, product_id None for a category's."""
    subject = {} if product_id is None else {"product_id": product_id}
    told = {"kind": kind, "by_mail": True, "by_webhook": False}
    with app.app_context():
        return in_transaction(lambda: alerts.add(user_id, told | subject | fields, utcnow()))


def make_category(app: Flask, name: str | None = None, **fields: Any) -> UUID:
    """A category in the database."""
    name = name or f"Category {next(_numbers)}"
    with app.app_context():
        return in_transaction(lambda: categories.add({"name": name} | fields, utcnow()))


def fill_cart(app: Flask, user_id: UUID, lines: Mapping[UUID, int]) -> None:
    """Put so many of each product into the cart of a user."""
    with app.app_context():
        for product_id, quantity in lines.items():
            in_transaction(lambda id=product_id, number=quantity: carts.add(user_id, id, number, utcnow()))


def make_order(app: Flask, user_id: UUID, lines: Mapping[UUID, int], key: str | None = None) -> UUID:
    """An order of a user of so many of each product, placed now."""
    request = RequestKey(str(user_id), key, "digest") if key else None
    with app.app_context():
        return in_transaction(lambda: orders.place(Purchase(user_id, "EUR", lines, key=request), utcnow())).order_id


def make_image(app: Flask, product_id: UUID, contents: Mapping[Variant, bytes] | None = None, **fields: Any) -> UUID:
    """An image of a product in the database, the last one and ready to be shown; what it consists of is a word."""
    image = {"id": uuid4(), "status": ImageStatus.READY, "created_at": LONG_AGO} | fields
    contents = {Variant.THUMB: b"small", Variant.FULL: b"large"} if contents is None else contents
    with app.app_context(), transaction():
        product = db.session.get_one(Product, product_id)
        product.image_changes += 1
        others = sa.select(sa.func.count()).select_from(Image).where(Image.product_id == product_id)
        image = {"position": db.session.scalar(others) + 1} | image
        db.session.add(Image(**image, product_id=product_id))
        db.session.flush()
        db.session.add_all([ImageBlob(image_id=image["id"], variant=v, content=c) for v, c in contents.items()])
    image_id: UUID = image["id"]
    return image_id


def bearer(token: str) -> dict[str, str]:
    """The header that brings a token."""
    return {"Authorization": f"Bearer {token}"}


def make_webhook(
    app: Flask,
    user_id: UUID,
    url: str = "https://shop.example.com/hook",
    events: Iterable[str] = ("product.created",),
    **fields: Any,
) -> UUID:
    """A webhook of a user, past all rules; fields are its columns."""
    webhook = {"id": uuid4(), "created_at": LONG_AGO, "updated_at": LONG_AGO} | fields
    with app.app_context(), transaction():
        webhook.setdefault("secret", webhook_box().seal(SECRET))
        db.session.add(Webhook(**webhook, user_id=user_id, url=url))
        db.session.flush()
        db.session.add_all([Subscription(webhook_id=webhook["id"], event=Event(event)) for event in events])
    webhook_id: UUID = webhook["id"]
    return webhook_id


def make_delivery(app: Flask, webhook_id: UUID, data: Mapping[str, Any] | None = None, **fields: Any) -> UUID:
    """Something to be sent to a webhook, due since long ago; fields are its columns."""
    delivery = {"id": uuid4(), "event": Event.PRODUCT_CREATED, "due_at": LONG_AGO, "created_at": LONG_AGO} | fields
    with app.app_context(), transaction():
        user_id = db.session.get_one(Webhook, webhook_id).user_id
        payload = json.dumps(data if data is not None else {"id": "1"})
        channel = Channel.WEBHOOK
        db.session.add(Delivery(**delivery, webhook_id=webhook_id, user_id=user_id, channel=channel, payload=payload))
    delivery_id: UUID = delivery["id"]
    return delivery_id


def make_offer(
    app: Flask, product_id: UUID, id: str | None = None, price: int = 1000, stock: int = 5, **fields: Any
) -> str:
    """An offer in the database, open unless last_seen_at is given; the product's summary follows. Returns its id."""
    offer_id = id or str(uuid4())
    seen = fields.get("first_seen_at", LONG_AGO)
    with app.app_context(), transaction():
        offer = Offer(
            **{
                "product_id": product_id,
                "upstream_id": offer_id,
                "price": price,
                "items_in_stock": stock,
                "first_seen_at": seen,
                "sold_out_at": None if stock else seen,
            }
            | fields
        )
        db.session.add(offer)
        db.session.flush()
        db.session.add(PricePoint(offer_id=offer.id, observed_at=seen, price=price if stock else None))
        _summarise(product_id)
    return offer_id


def _summarise(product_id: UUID) -> None:
    offers = db.session.scalars(sa.select(Offer).where(Offer.product_id == product_id, Offer.last_seen_at.is_(None)))
    prices = [(offer.price, offer.items_in_stock) for offer in offers]
    feed = db.session.get_one(Feed, product_id)
    feed.offer_count = len(prices)
    feed.lowest_price = min((price for price, stock in prices if stock), default=None)
    feed.synced_at = feed.synced_at or LONG_AGO


def stored(app: Flask, model: type[Model], *where: Any) -> Sequence[Model]:
    """The rows of a model as they are committed, in the order of their keys."""
    keys = sa.inspect(model).primary_key
    with app.app_context(), transaction():
        return db.session.scalars(sa.select(model).where(*where).order_by(*keys)).all()


def the_feed(app: Flask, product_id: UUID) -> Feed:
    """The feed of a product, as it is committed."""
    (feed,) = stored(app, Feed, Feed.product_id == product_id)
    return feed


def edit(app: Flask, model: type[DeclarativeBase], *where: Any, **values: Any) -> None:
    """Set values in the rows of a model, past all rules."""
    with app.app_context(), transaction():
        db.session.execute(sa.update(model).where(*where).values(**values))


def claim(app: Flask, *product_ids: UUID, by: str = "tester", seconds: float = 90) -> list[Claimed]:
    """Claims on products that are free, in their order; they last so many seconds, and of -1 they are over."""
    with app.app_context(), transaction():
        claimed = [feeds.claim_product(by, product_id) for product_id in product_ids]
        feeds.describe([product for product in claimed if product])
        until = utcnow() + timedelta(seconds=seconds)
        db.session.execute(sa.update(Feed).where(Feed.claimed_by == by).values(claimed_until=until))
    return [product for product in claimed if product]


def offer_id(number: int) -> str:
    """An id as the offers service makes them, the same for the same number."""
    return str(UUID(int=number << 64 | 0x0F0F_0F0F))


def rows(offers: Mapping[str, tuple[int, int]], rejected: Iterable[str] = (), complete: bool = True) -> OfferRows:
    """The rows of an answer: {id: (price, stock)}, the ids of those that were bad, and whether all could be read."""
    return OfferRows(dict(offers), rejected_ids=set(rejected), complete=complete)


def answer(product: Claimed, offers: OfferRows | Mapping[str, tuple[int, int]] | None, **fields: Any) -> Answer:
    """What the service said about a claimed product; None for the same as last time."""
    parsed = offers if offers is None or isinstance(offers, OfferRows) else rows(offers)
    return Answer(**{"product": product, "digest": next(_numbers), "due_in": 60.0, "offers": parsed} | fields)


def create(client: FlaskClient, name: str | None = None, headers: Any = None, **fields: Any) -> TestResponse:
    """The answer to POST /api/v1/products for a product of that name."""
    product = {"name": f"Product {next(_numbers)}" if name is None else name, "description": "", **fields}
    return client.post("/api/v1/products", json=product, headers=headers)


def before(moment: datetime, **durations: float) -> datetime:
    """A moment that is so much earlier."""
    return moment - timedelta(**durations)


def sync(app: Flask, product_id: UUID, offers: Mapping[str, tuple[int, int]], now: datetime | None = None) -> None:
    """Make the offers of a product those: {id: (price, stock)}, as a sync does."""
    claimed = claim(app, product_id)
    with app.app_context(), transaction():
        apply([answer(product, offers) for product in claimed], now or utcnow())
