"""What is there for who attacks: real ids, files and lines, with which a good request does what it is there for."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from schemathesis import Case

from aggregator.database import db, transaction
from aggregator.models import (
    Alert,
    CartItem,
    Category,
    Delivery,
    Feed,
    Image,
    ImageStatus,
    Offer,
    Order,
    OrderStatus,
    Product,
    Webhook,
)
from aggregator.services import cart_reads
from tests.builders import (
    fill_cart,
    make_alert,
    make_category,
    make_delivery,
    make_image,
    make_offer,
    make_order,
    make_product,
    make_webhook,
)
from tests.pictures import picture
from tests.security.excuses import operation_of

IN_CART = {"set_cart_item", "update_cart_item", "delete_cart_item"}  # the product is a line of the cart
# What an alert of a kind may have that others may not, and needs.
OF_KIND = {"below": {"target": 1_000}, "change": {"percent": 5, "direction": "both"}}
OF_KIND |= {"new_low": {"days": 30}, "new_high": {"days": 30}}
ENOUGH = 100_000  # of a product, for whatever may be ordered


class Belongings:
    """Something of everything that belongs to somebody or to nobody; what has been used up is there again."""

    def __init__(self, app: Flask, owner: UUID) -> None:
        self.app, self.owner = app, owner

    def lend(self, case: Case, number: int) -> None:
        """Have a request name what there is wherever it names something at random."""
        operation = operation_of(case)
        for place in (case.path_parameters, case.query):
            place.update({name: str(self._id(operation, name)) for name in place if name in self._makers})
        if operation == "create_product_image":
            case.body = {"image": picture()}
        elif operation == "import_products":
            row = {"name": f"Imported {number}", "description": "Warm"}
            form = case.query.get("format", "csv")
            lines = ("\t".join(line) if form == "tsv" else ",".join(line) for line in (row.keys(), row.values()))
            case.body = json.dumps(row) if form == "jsonl" else "\n".join(lines)
        elif isinstance(case.body, dict):
            case.body = self._body(operation, case.body)
        if operation == "checkout":
            self._line()  # there is something in the cart

    def _body(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        if operation == "create_alert":
            body = _alert_body(body)
        real = {name: str(self._id(operation, name)) for name in body if name in self._makers and body[name]}
        if items := body.get("items"):
            real["items"] = [{"product_id": str(self._product()), "quantity": items[0]["quantity"]}]
        if "expected_total" in body:
            real["expected_total"] = self._total(items and items[0]["quantity"])
        return body | real

    def _id(self, operation: str, name: str) -> UUID | str:
        if name == "product_id" and operation in IN_CART:
            return self._line()
        if operation == "delete_category":
            return make_category(self.app)  # nothing is in it
        return self._makers[name]()

    @property
    def _makers(self) -> dict[str, Callable[[], UUID | str]]:
        return {
            "product_id": self._product,
            "offer_id": self._offer,
            "category_id": self._category,
            "parent_id": self._category,
            "image_id": self._image,
            "alert_id": self._alert,
            "order_id": self._order,
            "webhook_id": self._webhook,
            "delivery_id": self._delivery,
        }

    def _first(self, wanted: sa.Select[Any]) -> Any:
        with self.app.app_context(), transaction():
            return db.session.scalar(wanted.limit(1))

    def _product(self) -> UUID:
        # One that was deleted stays for its orders, without a feed.
        there = sa.select(Product.id).join(Feed, Feed.product_id == Product.id)
        sold = there.where(Product.stock >= 1_000, Product.price.is_not(None))
        return self._first(sold.order_by(Product.id)) or make_product(self.app, price=1_999, stock=ENOUGH)

    def _offer(self) -> str:
        product_id = self._product()
        offer = sa.select(Offer.upstream_id).where(Offer.product_id == product_id).order_by(Offer.id)
        return self._first(offer) or make_offer(self.app, product_id)

    def _category(self) -> UUID:
        root = sa.select(Category.id).where(Category.parent_id.is_(None)).order_by(Category.id)
        return self._first(root) or make_category(self.app)

    def _image(self) -> UUID:
        ready = sa.select(Image.id).where(Image.status == ImageStatus.READY).order_by(Image.id)
        return self._first(ready) or make_image(self.app, make_product(self.app))

    def _alert(self) -> UUID:
        own = sa.select(Alert.id).where(Alert.user_id == self.owner).order_by(Alert.created_at)
        return self._first(own) or make_alert(self.app, self.owner, self._product())

    def _line(self) -> UUID:
        lines = sa.select(CartItem.product_id).join(Feed, Feed.product_id == CartItem.product_id)
        lines = lines.where(CartItem.user_id == self.owner).order_by(CartItem.product_id)
        if not self._first(lines):
            fill_cart(self.app, self.owner, {self._product(): 1})
        return self._first(lines)

    def _order(self) -> UUID:
        placed = sa.select(Order.id).where(Order.user_id == self.owner, Order.status == OrderStatus.PLACED)
        return self._first(placed.order_by(Order.id)) or make_order(self.app, self.owner, {self._product(): 1})

    def _webhook(self) -> UUID:
        own = sa.select(Webhook.id).where(Webhook.user_id == self.owner, Webhook.enabled, Webhook.deleted_at.is_(None))
        return self._first(own.order_by(Webhook.id)) or make_webhook(self.app, self.owner)

    def _delivery(self) -> UUID:
        webhook_id = self._webhook()
        sent = sa.select(Delivery.id).where(Delivery.webhook_id == webhook_id).order_by(Delivery.id)
        return self._first(sent) or make_delivery(self.app, webhook_id)

    def _total(self, quantity: int | None) -> int:
        """What so many of the product come to, or else what is in the cart."""
        if quantity:
            return quantity * int(self._first(sa.select(Product.price).where(Product.id == self._product())))
        self._line()
        with self.app.app_context():
            return int(json.loads(cart_reads.cart(self.owner, "EUR"))["total"])


def _alert_body(body: dict[str, Any]) -> dict[str, Any]:
    """The same alert with what its kind has, somebody to be told, and one thing to watch."""
    own = OF_KIND.get(body["kind"], {})
    strange = {name for fields in OF_KIND.values() for name in fields} - own.keys()
    subject, other = "product_id", "category_id"
    if subject not in body and other in body:
        subject, other = other, subject
    kept = {name: value for name, value in body.items() if name not in strange | {other}}
    return {subject: "one that there is"} | own | kept | {"by_mail": True}
