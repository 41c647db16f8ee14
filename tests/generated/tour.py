"""A tour of the shop with the client that openapi-python-client makes: python tour.py URL PRODUCT_ID PASSWORD."""

import json
import sys
from uuid import UUID

from shop_client import AuthenticatedClient, Client
from shop_client.api.accounts import get_me, login, logout, register
from shop_client.api.alerts import create_alert
from shop_client.api.cart import add_cart_item
from shop_client.api.offers import list_product_offers
from shop_client.api.orders import checkout
from shop_client.api.prices import get_product_price_trend
from shop_client.api.products import create_product, list_products
from shop_client.api.webhooks import create_webhook
from shop_client.models import (
    AlertInput,
    AlertInputKind,
    Checkout,
    CreateProduct409Problem,
    LineInput,
    Login,
    ProductCreate,
    Register,
    TokenProblem,
    WebhookFields,
    WebhookFieldsEventsItem,
)


def signed_in(visitor: Client, url: str, name: str, password: str) -> AuthenticatedClient:
    tokens = login.sync(client=visitor, body=Login(username=name, password=password))
    return AuthenticatedClient(base_url=url, token=tokens.access_token)


def main(url: str, product: str, password: str) -> dict[str, object]:
    """What was seen on the way."""
    product_id = UUID(product)
    seen: dict[str, object] = {}
    visitor = Client(base_url=url)
    user = register.sync(client=visitor, body=Register(username="ada", email="ada@example.com", password=password))
    seen["registered"] = user.username

    admin = signed_in(visitor, url, "boss", password)
    created = create_product.sync(client=admin, body=ProductCreate(name="Oak chair", description="", price=12900))
    seen["created"] = created.name
    again = create_product.sync_detailed(client=admin, body=ProductCreate(name="Oak chair", description=""))
    assert isinstance(again.parsed, CreateProduct409Problem)
    seen["created again"] = [int(again.status_code), again.parsed.code.value, again.parsed.type_]

    seen["listed"] = sorted(each.name for each in list_products.sync(client=visitor, page_size=100))
    seen["offers"] = [offer.price for offer in list_product_offers.sync(product_id, client=visitor)]
    seen["trend"] = get_product_price_trend.sync(product_id, client=visitor).last.price

    ada = signed_in(visitor, url, "ada", password)
    seen["cart"] = add_cart_item.sync(client=ada, body=LineInput(product_id=product_id, quantity=2)).total
    order = checkout.sync(client=ada, body=Checkout(expected_total=1000), idempotency_key="tour")
    seen["order"] = [order.status.value, order.total, [item.quantity for item in order.items]]
    wanted = AlertInput(kind=AlertInputKind.BELOW, product_id=product_id, target=800)
    seen["alert"] = create_alert.sync(client=ada, body=wanted).kind.value
    hook = WebhookFields(url="https://shop.example.com/hook", events=[WebhookFieldsEventsItem.ORDER_PLACED])
    seen["webhook"] = create_webhook.sync(client=ada, body=hook).secret[:6]

    seen["signed out"] = int(logout.sync_detailed(client=ada).status_code)
    refused = get_me.sync(client=ada)
    assert isinstance(refused, TokenProblem)
    seen["afterwards"] = refused.code.value
    return seen


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
