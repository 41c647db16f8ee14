"""Bodies to try an operation with: Swagger UI fills them in, and each is accepted as it is.

Where one names something by id, it is a made-up one, and the answer says that it does not exist.
"""

from typing import Any

JSON = "application/json"
SOMETHING = "7b2f0c52-5f0e-4f57-9d0c-1f6d3c1b8a11"
IMPORT_CSV = "name,description,brand,price,stock\nOak chair,It does not wobble.,Castera,12900,10\n"

PRODUCT = {
    "name": "Oak chair",
    "description": "It does not wobble.",
    "brand": "Castera",
    "price": 12900,
    "stock": 10,
    "rating": 4.5,
}

# By operation and media type.
BODIES: dict[str, dict[str, Any]] = {
    "register": {
        JSON: {"username": "ada.lovelace", "email": "ada@example.com", "password": "a lamp at the window"},
    },
    "login": {JSON: {"username": "ada.lovelace", "password": "a lamp at the window"}},
    "confirm_email": {JSON: {"token": "the token of the mail"}},
    "update_me": {JSON: {"email": "ada@example.org"}},
    "update_user": {JSON: {"role": "admin"}},
    "create_product": {JSON: PRODUCT},
    "replace_product": {JSON: PRODUCT},
    "update_product": {JSON: {"price": 11900}},
    "import_products": {"application/octet-stream": IMPORT_CSV},
    "create_category": {JSON: {"name": "Garden chairs", "slug": "garden-chairs"}},
    "replace_category": {JSON: {"name": "Garden chairs", "slug": "garden-chairs"}},
    "update_category": {JSON: {"name": "Chairs for the garden"}},
    "update_image": {JSON: {"position": 1}},
    "create_alert": {JSON: {"product_id": SOMETHING, "kind": "below", "target": 99900, "by_mail": True}},
    "update_alert": {JSON: {"cooldown_seconds": 3600}},
    "add_cart_item": {JSON: {"product_id": SOMETHING, "quantity": 1}},
    "set_cart_item": {JSON: {"quantity": 2}},
    "update_cart_item": {JSON: {"quantity": 2}},
    "checkout": {JSON: {}},
    "create_order": {JSON: {"items": [{"product_id": SOMETHING, "quantity": 1}]}},
    "update_order": {JSON: {"items": [{"product_id": SOMETHING, "quantity": 2}]}},
    "create_webhook": {
        JSON: {"url": "https://shop.example.com/hook", "events": ["order.placed", "order.status"]},
    },
    "update_webhook": {JSON: {"enabled": True}},
}
