"""The operations of the API: what each is called, and who may call it."""

import re
from enum import Enum
from functools import cache

from aggregator.models.images import MAX_IMAGE_BYTES


class Who(Enum):
    """Whom an operation is for."""

    EVERYBODY = "everybody"
    REFRESHER = "who holds a refresh token"
    USER = "who is signed in"
    ADMIN = "admins"


# What is not in here, nobody may call.
MAY_CALL = {
    "register": Who.EVERYBODY,
    "login": Who.EVERYBODY,
    "refresh_tokens": Who.REFRESHER,
    "logout": Who.USER,
    "confirm_email": Who.EVERYBODY,
    "resend_confirmation": Who.USER,
    "get_me": Who.USER,
    "update_me": Who.USER,
    "list_users": Who.ADMIN,
    "get_user": Who.ADMIN,
    "update_user": Who.ADMIN,
    "list_products": Who.EVERYBODY,
    "create_product": Who.ADMIN,
    "get_product": Who.EVERYBODY,
    "replace_product": Who.ADMIN,
    "update_product": Who.ADMIN,
    "delete_product": Who.ADMIN,
    "list_product_offers": Who.EVERYBODY,
    "get_product_offer": Who.EVERYBODY,
    "get_product_price_history": Who.EVERYBODY,
    "get_product_price_trend": Who.EVERYBODY,
    "get_product_price_insights": Who.EVERYBODY,
    "get_offer_price_history": Who.EVERYBODY,
    "get_offer_price_trend": Who.EVERYBODY,
    "list_offers": Who.EVERYBODY,
    "get_offer": Who.EVERYBODY,
    "import_products": Who.ADMIN,
    "export_products": Who.ADMIN,
    "list_categories": Who.EVERYBODY,
    "create_category": Who.ADMIN,
    "get_category": Who.EVERYBODY,
    "replace_category": Who.ADMIN,
    "update_category": Who.ADMIN,
    "delete_category": Who.ADMIN,
    "list_product_images": Who.EVERYBODY,
    "create_product_image": Who.ADMIN,
    "get_image": Who.EVERYBODY,
    "get_image_thumb": Who.EVERYBODY,
    "get_image_full": Who.EVERYBODY,
    "update_image": Who.ADMIN,
    "delete_image": Who.ADMIN,
    "list_changes": Who.EVERYBODY,
    "list_alerts": Who.USER,
    "create_alert": Who.USER,
    "get_alert": Who.USER,
    "update_alert": Who.USER,
    "delete_alert": Who.USER,
    "get_cart": Who.USER,
    "empty_cart": Who.USER,
    "add_cart_item": Who.USER,
    "set_cart_item": Who.USER,
    "update_cart_item": Who.USER,
    "delete_cart_item": Who.USER,
    "checkout": Who.USER,
    "list_orders": Who.USER,
    "create_order": Who.USER,
    "get_order": Who.USER,
    "update_order": Who.USER,
    "cancel_order": Who.USER,
    "list_webhooks": Who.USER,
    "create_webhook": Who.USER,
    "get_webhook": Who.USER,
    "update_webhook": Who.USER,
    "delete_webhook": Who.USER,
    "rotate_webhook_secret": Who.USER,
    "send_test_webhook": Who.USER,
    "list_webhook_deliveries": Who.USER,
    "get_webhook_delivery": Who.USER,
    "redeliver_webhook": Who.USER,
    "get_healthz": Who.EVERYBODY,
    "get_readyz": Who.EVERYBODY,
    "get_status": Who.EVERYBODY,
    # Pages, which are not in the API's document.
    "get_confirm_page": Who.EVERYBODY,
    "create_confirm_page_button": Who.EVERYBODY,
    "get_unsubscribe_page": Who.EVERYBODY,
    "create_unsubscribe_page_button": Who.EVERYBODY,
    "get_index": Who.EVERYBODY,
    "get_swagger": Who.EVERYBODY,
    "get_redoc": Who.EVERYBODY,
    "get_asset": Who.EVERYBODY,
    "get_problems": Who.EVERYBODY,
    "get_problem": Who.EVERYBODY,
    "get_openapi_json": Who.EVERYBODY,
}

VERBS = {"POST": "create", "PUT": "replace", "PATCH": "update"}  # of an operation on what a view is named after
# Views of several things, and what one of them is called.
COLLECTIONS = {
    "Products": "product",
    "ProductImages": "product_image",
    "ProductOffers": "product_offer",
    "Offers": "offer",
    "Categories": "category",
    "Changes": "change",
    "Alerts": "alert",
    "Orders": "order",
    "Users": "user",
    "Webhooks": "webhook",
    "WebhookDeliveries": "webhook_delivery",
}
# Operations that are something else than their method says.
NAMES = {
    ("POST", "Register"): "register",
    ("POST", "Login"): "login",
    ("POST", "Refresh"): "refresh_tokens",
    ("POST", "Logout"): "logout",
    ("POST", "ConfirmEmail"): "confirm_email",
    ("POST", "ConfirmEmailResend"): "resend_confirmation",
    ("POST", "Import"): "import_products",
    ("GET", "Export"): "export_products",
    ("DELETE", "Cart"): "empty_cart",
    ("POST", "CartItems"): "add_cart_item",
    ("PUT", "CartItem"): "set_cart_item",
    ("POST", "CartCheckout"): "checkout",
    ("POST", "OrderCancel"): "cancel_order",
    ("POST", "WebhookRotateSecret"): "rotate_webhook_secret",
    ("POST", "WebhookTest"): "send_test_webhook",
    ("POST", "WebhookRedeliver"): "redeliver_webhook",
}

# Where a body may be larger than others, once it is known who sends it: a file with the form around it.
BODY_BYTES = {"create_product_image": MAX_IMAGE_BYTES + 64 * 1024}


@cache
def operation_id(method: str, endpoint: str) -> str:
    """The name of an operation, such as list_products; generated clients call their functions by it."""
    method = "GET" if method.upper() == "HEAD" else method.upper()
    view = endpoint.rpartition(".")[2]
    if name := NAMES.get((method, view)):
        return name
    name = re.sub("(?<!^)(?<!_)(?=[A-Z])", "_", view).lower()
    if view in COLLECTIONS:
        return f"list_{name}" if method == "GET" else f"create_{COLLECTIONS[view]}"
    return f"{VERBS.get(method, method.lower())}_{name}"
