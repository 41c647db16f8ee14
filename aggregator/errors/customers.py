"""What goes against the rules for customers: accounts, carts, orders, alerts, webhooks."""

from aggregator.errors.kinds import Conflict, Forbidden, Invalid, TooMany


class InsufficientStock(Conflict):
    """There is not enough in stock; see errors.items.

    `errors.items` has each product that falls short: `product_id`, `product_name`, the `quantity` you want and what is
    `available` (0 where it is sold out, or not sold by us). Nothing was done. Ask for less.
    """

    code = "insufficient_stock"


class StockLimit(Conflict):
    """The stock of a product would exceed what can be counted.

    The detail names the product.
    """

    code = "stock_limit"


class TotalChanged(Conflict):
    """The total has changed; see errors.total.

    Prices have moved since you read them. Nothing was done. Show the new total, `errors.total`, and send the request
    again with it as `expected_total`.
    """

    code = "total_changed"


class CartEmpty(Invalid):
    """There is nothing in your cart.

    Put something into it with `POST /api/v1/cart/items`.
    """

    code = "cart_empty"


class TooManyOrders(TooMany):
    """You have placed as many orders of late as one user may.

    Wait for the seconds that `Retry-After` says. Cancelled orders count, too.
    """

    code = "too_many_orders"


class OrderNotEditable(Conflict):
    """The items of an order can be changed only while it is placed.

    It has been paid, shipped or cancelled meanwhile. Place another order.
    """

    code = "order_not_editable"


class StatusNotPossible(Conflict):
    """The order cannot get this status.

    The detail has the status that it has. From placed an order becomes paid, shipped, delivered; until it is shipped it
    can be cancelled.
    """

    code = "order_status_not_possible"


class OwnerRequired(Forbidden):
    """Only the user who placed the order may change its items.

    As an admin you can change its status, or cancel it.
    """

    code = "owner_required"


class AccountTaken(Conflict):
    """This name or address is taken.

    Choose another name, or sign in if the account is yours. Which of the two is taken is not said.
    """

    code = "account_taken"


class WrongPassword(Invalid):
    """The password is not changed; see errors.

    `current_password` is not the one that the account has now.
    """

    code = "wrong_password"


class PasswordChanged(Conflict):
    """The password has been changed meanwhile.

    Somebody else who knows the password has changed it at the same moment. Sign in again.
    """

    code = "password_changed"


class LastAdmin(Conflict):
    """This is the last admin; make somebody else one first.

    Nobody could manage the shop otherwise.
    """

    code = "last_admin"


class AlertExists(Conflict):
    """You have this alert already.

    Another alert of yours waits for the same. Change that one.
    """

    code = "alert_exists"


class WebhookRefused(Invalid):
    """Nothing can be sent to this URL; see errors.

    Webhooks go to `https://` URLs in the public internet.
    """

    code = "webhook_url_refused"


class WebhookDisabled(Conflict):
    """The webhook is disabled; enable it first.

    `PATCH` it with `{"enabled": true}` once it works again.
    """

    code = "webhook_disabled"


class LastTestPending(Conflict):
    """The last test is still under way.

    Wait for it to end: the deliveries of the webhook show it.
    """

    code = "test_pending"


class BadMailToken(Invalid):
    """The token is none of ours, or too old, or has been used already.

    Tokens come by mail. Sign in and ask for another one with `POST /api/v1/auth/confirm-email/resend`.
    """

    code = "bad_mail_token"


class AlreadyConfirmed(Conflict):
    """Your address is confirmed already.

    There is nothing to be done.
    """

    code = "already_confirmed"
