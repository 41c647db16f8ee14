"""The table of sabotages: a line, what becomes of it, the nearest tests, and why the line is there."""

from collections.abc import Iterable
from dataclasses import dataclass

SERVICES, API, CLIENTS, SECURITY = "tests/services", "tests/api", "tests/clients", "tests/security"


@dataclass(frozen=True)
class Sabotage:
    """One line that is spoiled, wherever it stands in its file."""

    file: str  # below aggregator/
    line: str
    becomes: str
    why: str
    tests: tuple[str, ...]
    only: str = ""  # of those tests, as pytest's -k has it
    times: int = 1  # that the line is there

    def matches(self, names: Iterable[str]) -> bool:
        """Whether one of the names is the beginning of the file's, or a part of the reason."""
        return any(self.file.startswith(f"aggregator/{name}") or name in self.why for name in names)


def spoiled(file: str, line: str, becomes: str, why: str, *tests: str, only: str = "", times: int = 1) -> Sabotage:
    return Sabotage(f"aggregator/{file}", line, becomes, why, tests, only, times)


CONSTRAINTS, LOCKS = f"{SERVICES}/test_constraints.py", f"{SERVICES}/test_locks.py"
GUESSING, BUYERS = f"{SECURITY}/test_guessing.py", "tests/scenarios/test_buyers.py"

TREE_AND_REFERENCES = (
    spoiled(
        "services/categories.py",
        "    one_at_a_time(LOCK)\n",
        "",
        "two edits of the tree make a circle",
        f"{SERVICES}/test_categories.py",
        CONSTRAINTS,
        only="circles or part or samples",
        times=4,
    ),
    spoiled(
        "services/categories.py",
        "if category.id in tree[category.parent_id]:",
        "if False:",
        "no circle at all",
        f"{SERVICES}/test_categories.py",
        only="circles",
    ),
    spoiled(
        "services/categories.py",
        "if products or parts:",
        "if products:",
        "a category with parts stays",
        f"{SERVICES}/test_categories.py",
        CONSTRAINTS,
        only="Remove or Referred",
    ),
    spoiled(
        "services/alerts.py",
        "db.session.get(Feed, product_id, with_for_update=STAYS)",
        "db.session.get(Feed, product_id)",
        "an alert of a product that is being deleted",
        CONSTRAINTS,
        only="gets_no_alert",
    ),
    spoiled(
        "services/alerts.py",
        "db.session.get(Category, category_id, with_for_update=STAYS)",
        "db.session.get(Category, category_id)",
        "an alert of a category that is being deleted",
        CONSTRAINTS,
        only="gets_no_alert",
    ),
    spoiled(
        *(
            "services/constraints.py",
            "        if problem := problem_of(error, words):\n            raise problem from error\n",
        ),
        "",
        "names that are taken at once",
        CONSTRAINTS,
        only="TakenMeanwhile",
    ),
    spoiled(
        "api/problems.py",
        "    app.register_error_handler(IntegrityError, _on_broken_constraint)\n",
        "",
        "a broken constraint is answered in words",
        f"{API}/test_problems.py",
        only="constraint",
    ),
    spoiled(
        *(
            "services/imports.py",
            "        .with_for_update(key_share=True)  # what refers to the products need not wait\n",
        ),
        "",
        "an import beside a sale",
        LOCKS,
        only="import",
    ),
    spoiled(
        "services/catalog.py",
        "db.session.get(Feed, product_id, with_for_update=True)",
        "db.session.get(Feed, product_id)",
        "offers of a product that is being deleted",
        LOCKS,
        only="deleted",
    ),
    spoiled(
        "services/catalog.py",
        'db.session.get(Product, product_id, with_for_update={"key_share": True})',
        "db.session.get(Product, product_id)",
        "an edit of the stock beside a sale",
        BUYERS,
        only="edit_of_the_stock",
    ),
    spoiled(
        "services/changes.py",
        "        wait_for_the_disk()\n",
        "",
        "a number that was seen is on disk",
        LOCKS,
        only="disk or batch",
    ),
    spoiled(
        "services/changes.py",
        "        one_at_a_time(LOCK)\n",
        "",
        "numbers in the order of commits",
        f"{SERVICES}/test_changes.py",
        times=2,
    ),
)

ORDERS = (
    spoiled(
        "services/stock.py",
        ".where(row.stock >= number, sold)",
        ".where(sold)",
        "nothing is oversold",
        f"{SERVICES}/test_stock.py",
        f"{SERVICES}/test_orders.py",
    ),
    spoiled(
        "services/stock.py",
        "row.price.is_not(None), row.deleted_at.is_(None)",
        "row.price.is_not(None)",
        "deleted products are not sold",
        f"{SERVICES}/test_stock.py",
        f"{SERVICES}/test_orders.py",
    ),
    spoiled(
        "services/stock.py",
        "_change(row.stock + number).where(row.stock <= MAX_STOCK - number)",
        *(
            "_change(row.stock + number)",
            "a stock has an end",
            f"{SERVICES}/test_stock.py",
            f"{SERVICES}/test_orders.py",
        ),
    ),
    spoiled(
        "services/stock.py",
        "in sorted(quantities.items())",
        "in quantities.items()",
        "orders in opposite order deadlock",
        BUYERS,
        only="deadlock",
    ),
    spoiled(
        *(
            "services/orders.py",
            "this.with_for_update(key_share=True)",
            "this",
            "an order that is being edited",
            BUYERS,
        ),
        only="being_edited",
    ),
    spoiled(
        "services/orders.py",
        "row.status.in_(before))",
        "sa.true())",
        "an order is cancelled once",
        f"{SERVICES}/test_orders.py",
        "tests/jobs/test_orders.py",
    ),
    spoiled(
        "services/orders.py",
        "    _check_total(total, purchase.expected_total)\n",
        "",
        "nothing is ordered at another total than was seen",
        f"{SERVICES}/test_orders.py",
        f"{API}/test_orders.py",
        only="total",
    ),
    spoiled(
        "services/orders.py",
        "if owner_id is None or (owner_id != by.user_id and by.role is not Role.ADMIN):",
        "if owner_id is None:",
        "orders of others",
        f"{API}/test_orders.py",
        f"{SERVICES}/test_orders.py",
    ),
    spoiled(
        "services/orders.py",
        "if lines is not None and owner_id != by.user_id:",
        "if False:",
        "items are changed by whose order it is",
        f"{API}/test_orders.py",
        only="theirs",
    ),
    spoiled(
        "services/orders.py",
        "if status is not None and by.role is not Role.ADMIN:",
        "if False:",
        "the status is for admins",
        f"{API}/test_orders.py",
        only="theirs",
    ),
    spoiled(
        "services/orders.py",
        "        stock.move(given)\n",
        "",
        "what an order took is given back",
        "tests/jobs/test_orders.py",
        f"{SERVICES}/test_orders.py",
    ),
    spoiled(
        "services/orders.py",
        "(OrderStatus.PLACED,), now)",
        "(OrderStatus.PLACED, OrderStatus.PAID), now)",
        "a paid order does not lapse",
        "tests/jobs/test_orders.py",
    ),
    spoiled(
        "services/unpaid_orders.py",
        "sa.and_(placed, Order.created_at < now_plus(-60.0 * minutes))",
        "sa.and_(placed, Order.created_at < now_plus(-1.0 * minutes))",
        "in minutes",
        "tests/jobs/test_orders.py",
    ),
    spoiled(
        "services/order_limits.py",
        '    one_at_a_time(f"orders of {user_id}")\n',
        "",
        "two orders at once find room for one",
        f"{API}/test_orders.py",
        only="at_once",
    ),
    spoiled(
        "services/order_limits.py",
        "    if pieces > at_most:",
        "    if False:",
        "pieces in an order",
        f"{API}/test_orders.py",
        only="pieces",
    ),
    spoiled(
        "services/order_reads.py",
        "(OrderEvent.by == Order.user_id, User.username)",
        "(sa.true(), User.username)",
        "names of admins",
        f"{API}/test_orders.py",
        only="status_is_told",
    ),
    spoiled(
        "services/order_reads.py",
        "    return this.where(OWN) if of_somebody else this",
        "    return this",
        "an order is shown to whose it is",
        f"{API}/test_orders.py",
    ),
    spoiled(
        *(
            "services/carts.py",
            "    _lock(user_id, now)\n    of_the_user",
            "    of_the_user",
            "a cart is ordered once",
            BUYERS,
        ),
        only="cart",
    ),
    spoiled(
        "services/carts.py",
        "    if quantity > MAX_QUANTITY:",
        "    if False:",
        "pieces in a cart",
        f"{SERVICES}/test_carts.py",
    ),
    spoiled(
        "services/idempotency.py",
        "if found.request_digest != request.digest:",
        "if False:",
        "a key that comes with another request",
        f"{SERVICES}/test_idempotency.py",
    ),
)

ACCOUNTS = (
    spoiled(
        "services/passwords.py",
        "password_hash or NOBODYS",
        "password_hash or ''",
        "unknown names take as long",
        f"{SECURITY}/test_unknown_names.py",
    ),
    spoiled(
        "services/passwords.py",
        "_hasher.hash(opaque(password))",
        "_hasher.hash(password)",
        "passwords in another form",
        f"{SERVICES}/test_passwords.py",
        only="Forms",
    ),
    spoiled(
        "services/passwords.py",
        "dict.fromkeys((opaque(password), password))",
        "(opaque(password),)",
        "old hashes of what was typed",
        f"{SERVICES}/test_passwords.py",
        only="Forms",
    ),
    spoiled(
        "text.py",
        'return text if text.isascii() else normalize("NFC", text)',
        "return text",
        "names in another form",
        f"{API}/test_text_forms.py",
    ),
    spoiled(
        "flows/accounts.py",
        "            self._slow_down(account)\n",
        "            pass\n",
        "guesses from many networks",
        GUESSING,
        only="few_from_wherever or look_the_same",
    ),
    spoiled(
        "flows/accounts.py",
        'tried = f"{account} {address}"',
        'tried = f"{account}"',
        "strangers keep owners out",
        GUESSING,
        only="Owners",
    ),
    spoiled(
        "flows/accounts.py",
        "if known and device and device.user_id == known.user_id:",
        "if known and device:",
        "the device of somebody else",
        GUESSING,
        only="nobody_else",
    ),
    spoiled(
        "flows/accounts.py",
        "if not sign_ins.is_known(",
        "if True or not sign_ins.is_known(",
        "owners at a known network",
        GUESSING,
        only="Owners",
    ),
    spoiled(
        "flows/accounts.py",
        "if not user.active or user.password_hash != known.password_hash:",
        "if False:",
        "an account that is changed while its password is checked",
        "tests/flows/test_accounts.py",
        only="shut_out",
    ),
    spoiled(
        "services/sign_ins.py",
        "generation == sign_in.generation - 1 and abs(now - sign_in.refreshed_at) <= GRACE",
        "generation == sign_in.generation - 1",
        "a refresh token is used once",
        f"{SERVICES}/test_sign_ins.py",
    ),
    spoiled(
        "services/sign_ins.py",
        "            SignIn.ended_at.is_(None),\n",
        "",
        "who has signed out is signed out",
        f"{SERVICES}/test_sign_ins.py",
    ),
    spoiled(
        *(
            "services/sign_ins.py",
            "            User.active,\n",
            "",
            "who is deactivated",
            f"{SERVICES}/test_sign_ins.py",
        ),
    ),
    spoiled(
        "services/accounts.py",
        "if admins == {user_id} and not (role is Role.ADMIN and active):",
        "if False:",
        "the last admin",
        f"{SERVICES}/test_accounts.py",
    ),
    spoiled(
        "services/accounts.py",
        "is_admin).order_by(User.id).with_for_update()",
        "is_admin).order_by(User.id)",
        "two admins who leave at once",
        f"{SERVICES}/test_accounts.py",
    ),
    spoiled(
        "auth.py",
        "if header != HEADER or not claims.keys() >= CLAIMS:",
        "if not claims.keys() >= CLAIMS:",
        "headers of tokens",
        f"{SECURITY}/test_forged_tokens.py",
    ),
    spoiled(
        "auth.py",
        'if found["type"] != ("refresh" if refresh else "access"):',
        "if False:",
        "a refresh token opens nothing else",
        f"{SECURITY}/test_forged_tokens.py",
    ),
    spoiled(
        "auth.py",
        "    if begins > begun:\n",
        "    if False:\n",
        "a token is not good before it begins",
        f"{SECURITY}/test_token_times.py",
        only="ahead",
    ),
    spoiled(
        "auth.py",
        "    if ends <= now:\n",
        "    if False:\n",
        "a token ends",
        f"{SECURITY}/test_token_times.py",
        only="after or behind",
    ),
    spoiled(
        "services/limits.py",
        '"tries": sa.case((is_over, 1), else_=limits.c.tries + 1),',
        '"tries": 1,',
        "tries are counted",
        f"{SERVICES}/test_limits.py",
    ),
    spoiled(
        "flows/limits.py",
        "{IPv6Address(int(ip) >> 64 << 64)}/64",
        "{ip}",
        "a network of IPv6 is one",
        "tests/flows/test_limits.py",
    ),
)

OUTSIDE = (
    spoiled(
        "clients/many.py",
        "self.size > self.max_bytes or ",
        "",
        "the size of an answer",
        f"{CLIENTS}/test_held_memory.py",
    ),
    spoiled(
        "clients/many.py",
        " or self.held.bytes > MAX_HELD_BYTES",
        "",
        "the size of all answers",
        f"{CLIENTS}/test_held_memory.py",
    ),
    spoiled(
        *(
            "clients/many.py",
            "handle.setopt(pycurl.FOLLOWLOCATION, False)",
            "handle.setopt(pycurl.FOLLOWLOCATION, True)",
        ),
        "no redirect is followed",
        f"{CLIENTS}/test_many.py",
        only="redirect",
    ),
    spoiled(
        "clients/many.py",
        "        handle.setopt(pycurl.TIMEOUT_MS, int(seconds * 1000))\n",
        "",
        "the time limit",
        f"{CLIENTS}/test_many.py",
        only="holds_for_the_whole_answer",
    ),
    spoiled(
        "clients/addresses.py",
        "ip.is_global and not ip.is_multicast",
        "not ip.is_multicast",
        "webhooks go to public addresses",
        f"{CLIENTS}/test_addresses.py",
    ),
    spoiled(
        "clients/addresses.py",
        'if scheme != "https":',
        "if False:",
        "webhooks go over TLS",
        f"{CLIENTS}/test_addresses.py",
    ),
    spoiled(
        "services/feed_endings.py",
        ", FEEDS.c.claimed_by == new.claim)",
        ")",
        "the fence of a claim",
        f"{SERVICES}/test_feed_endings.py",
        f"{SERVICES}/test_sync.py",
    ),
    spoiled(
        "services/catalog.py",
        ", Feed.claimed_by == product.claim)",
        ")",
        "the fence of a withdrawal",
        f"{SERVICES}/test_catalog.py",
        "tests/flows/test_creation.py",
    ),
    spoiled(
        "services/images.py",
        "row.claimed_by == image.claim, ",
        "",
        "the fence of an image",
        "tests/flows/test_images.py",
    ),
    spoiled(
        "services/outbox.py",
        "row.claimed_by == delivery.claim, ",
        "",
        "the fence of a delivery",
        f"{SERVICES}/test_outbox.py",
    ),
    spoiled(
        "services/outbox.py",
        '.on_conflict_do_nothing(index_elements=["key"])',
        "",
        "nothing is told twice",
        f"{SERVICES}/test_outbox.py",
    ),
    spoiled(
        *(
            "services/sync.py",
            "if not offers.complete or upstream_id in offers.rejected_ids:",
            "if not offers.complete:",
        ),
        "an offer that could not be read is not closed",
        f"{SERVICES}/test_sync.py",
    ),
    spoiled(
        "services/webhooks.py",
        "if count is not None and count >= MAX_WEBHOOKS:",
        "if False:",
        "webhooks of one user",
        f"{SERVICES}/test_webhooks.py",
    ),
    spoiled(
        "services/alerts.py",
        ">= MAX_ALERTS:",
        ">= 10 * MAX_ALERTS:",
        "alerts of one user",
        f"{SERVICES}/test_alerts.py",
    ),
    spoiled(
        "services/images.py",
        "    if there >= MAX_IMAGES:",
        "    if False:",
        "images of one product",
        "tests/flows/test_images.py",
        f"{API}/test_images.py",
    ),
    spoiled(
        "services/alerts.py",
        "if alert is None or alert.user_id != user_id:",
        "if alert is None:",
        "alerts of others",
        f"{SERVICES}/test_alerts.py",
        f"{API}/test_alerts.py",
    ),
    spoiled(
        "services/webhooks.py",
        ".where(Webhook.id == webhook_id, Webhook.user_id == user_id, is_there())",
        ".where(Webhook.id == webhook_id, is_there())",
        "webhooks of others",
        f"{SERVICES}/test_webhooks.py",
        f"{API}/test_webhooks.py",
    ),
)

SABOTAGES = (*TREE_AND_REFERENCES, *ORDERS, *ACCOUNTS, *OUTSIDE)
