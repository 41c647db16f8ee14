"""People, what is theirs, and calls that are about it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask import Flask

from aggregator.database import db, transaction
from aggregator.models import Base, Role
from aggregator.services import cart_reads
from aggregator.services.passwords import hashed
from tests.builders import (
    fill_cart,
    make_alert,
    make_category,
    make_delivery,
    make_image,
    make_offer,
    make_order,
    make_product,
    make_user,
    make_webhook,
    sign_in,
)
from tests.pictures import picture
from tests.security.operations import PASSWORD, Call, Operation


@dataclass(frozen=True)
class World:
    """An owner, whose name and address are unlike anything else, and the ids of what belongs to the owner.

    A feature that gives people something of their own makes one for the owner in make_world(), and adds its id.
    """

    app: Flask
    canary: str  # the owner's name, and a part of the owner's address
    owner: UUID
    another: UUID
    anothers_name: str
    admin: UUID
    whose: UUID  # the owner, or an admin who has everything instead
    ids: dict[str, str] = field(default_factory=dict)  # for every name that a path, a query or a body has for one

    def call(self, operation: Operation) -> Call:
        """A call of an operation that is about the owner and what is the owner's."""
        values = self.ids | QUERY | QUERIES.get(operation.id, {}) | {"q": self.canary[:-4]}
        unknown = {name for name in operation.query if name.endswith("_id")} - values.keys()
        assert not unknown, f"World.ids lacks {unknown} for {operation.id}"
        return Call(
            operation,
            operation.path.format(**self.ids),
            {name: values[name] for name in operation.query if name in values},
            None if operation.body is None else BODIES[operation.id](self),
            {name: FILES[operation.id, name] for name in operation.files},
            f"name,description\n{_name()},Warm\n" if operation.text else None,
        )

    def tokens(self, user_id: UUID) -> dict[str, Any]:
        """The tokens of a new sign-in."""
        return sign_in(self.app, user_id)


def admins_world(app: Flask, admin: UUID | None = None) -> World:
    """A world in which the admin may do everything: what people have of their own is the admin's, not the owner's."""
    return make_world(app, admin or make_user(app, Role.ADMIN, password_hash=_hash(), email_confirmed=False))


def admins_worlds(app: Flask) -> Callable[[Operation], World]:
    """Gives each operation such a world, in which nobody has changed anything yet; those that only read share one."""
    read_only = admins_world(app)
    return lambda operation: read_only if operation.method == "GET" else admins_world(app)


def make_world(app: Flask, whose: UUID | None = None) -> World:
    """A world of its own, in which nobody has done anything yet; all that is whose, an admin's, or else the owner's."""
    canary, anothers_name = f"canary-{uuid4().hex}", _name()
    owner = make_user(app, username=canary, email=f"{canary}@example.com", password_hash=_hash(), email_confirmed=False)
    another = make_user(app, username=anothers_name, password_hash=_hash(), email_confirmed=False)
    admin = whose or make_user(app, Role.ADMIN, password_hash=_hash(), email_confirmed=False)
    whose = whose or owner
    product = make_product(app, price=PRODUCT["price"], stock=PRODUCT["stock"])
    ids = {"user_id": owner, "product_id": product, "offer_id": make_offer(app, product)}
    ids |= {"alert_id": make_alert(app, whose, product), "category_id": make_category(app)}
    ids["parent_id"] = ids["category_id"]
    fill_cart(app, whose, {product: 1})
    ids["order_id"] = make_order(app, whose, {product: 1})
    ids["image_id"] = make_image(app, product)
    ids["webhook_id"] = make_webhook(app, whose)
    ids["delivery_id"] = make_delivery(app, ids["webhook_id"])
    return World(app, canary, owner, another, anothers_name, admin, whose, {name: str(id) for name, id in ids.items()})


QUERY = {
    "in_stock": "true",
    "include_closed": "true",
    "min_price": "0",
    "max_price": "1000000",
    "role": "customer",
    "active": "true",
    "kind": "any_change",
    "status": "pending",
}
QUERIES = {"list_orders": {"status": "placed"}}  # where a name means something else
PRODUCT = {"category_id": None, "description": "Warm", "brand": "Aurelo", "price": 1999, "stock": 3000, "rating": 4.5}
TOLD = {"cooldown_seconds": 60, "by_mail": True, "by_webhook": True}
WEBHOOK = {"url": "https://shop.example.com/hook", "events": ["product.created", "price.alert"]}
# A file that will do for each that an operation takes.
FILES = {("create_product_image", "image"): picture()}
# A body that will do for each operation that takes one, with a value for every field.
BODIES: dict[str, Callable[[World], dict[str, Any]]] = {
    "create_product": lambda world: _new_product() | {"id": str(uuid4())},
    "replace_product": lambda world: _new_product(),
    "update_product": lambda world: _new_product(),
    "create_category": lambda world: _new_category(),
    "replace_category": lambda world: _new_category(),
    "update_category": lambda world: _new_category(),
    "create_alert": lambda world: {"product_id": world.ids["product_id"], "kind": "below", "target": 1000} | TOLD,
    "update_alert": lambda world: {"active": True} | TOLD,
    "add_cart_item": lambda world: _line(world),
    "set_cart_item": lambda world: {"quantity": 2},
    "update_cart_item": lambda world: {"quantity": 2},
    "checkout": lambda world: {"expected_total": _cart_total(world)},
    "create_order": lambda world: {"items": [_line(world)], "expected_total": PRODUCT["price"]},
    "update_order": lambda world: {"items": [_line(world) | {"quantity": 2}]},
    "create_webhook": lambda world: WEBHOOK,
    "update_webhook": lambda world: WEBHOOK | {"enabled": True},
    "update_image": lambda world: {"position": 1},
    "register": lambda world: {"username": _name(), "email": _address(), "password": PASSWORD},
    "confirm_email": lambda world: {"token": _confirmation(world)},
    "login": lambda world: {"username": world.anothers_name, "password": PASSWORD},
    "update_me": lambda world: {"email": _address(), "password": f"{PASSWORD}!", "current_password": PASSWORD},
    "update_user": lambda world: {"role": "customer", "active": True},
}


def _confirmation(world: World) -> str:
    """The token that confirms the address of a new user."""
    confirmation_id = uuid4()
    user_id = make_user(world.app, email_confirmed=False, confirmation_id=confirmation_id)
    return world.app.extensions["post"].links.tokens.confirmation(user_id, confirmation_id)


def _line(world: World) -> dict[str, Any]:
    return {"product_id": world.ids["product_id"], "quantity": 1}


def _cart_total(world: World) -> int:
    with world.app.app_context():
        return int(json.loads(cart_reads.cart(world.whose, "EUR"))["total"])


def _new_product() -> dict[str, Any]:
    return PRODUCT | {"name": _name()}


def _new_category() -> dict[str, Any]:
    return {"name": _name(), "slug": _name(), "parent_id": None}


def _name() -> str:
    return f"n{uuid4().hex}"


def _address() -> str:
    return f"{_name()}@example.com"


@cache
def _hash() -> str:
    return hashed(PASSWORD)


def everything(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables as they are committed: what must not have changed where nothing was done."""
    with app.app_context(), transaction():
        return {
            table.name: sorted((tuple(row) for row in db.session.execute(sa.select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }
