"""Mails and webhooks: what is sent, when, to whom, and what it says."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.outside import Answer, Outside, outside
from tests.evidence.stack import Shop, Stack
from tests.mail_server import Arrived, Inbox, mail_server
from tests.scenarios.processes import PASSWORD

PATIENCE = 60.0
SILENCE = 15  # seconds; long enough for the movements that are to come within it
LEFT_ALONE = 20  # seconds; longer than the first pause after a failure
# A kind of alert, the prices that come within its silence, the one that comes after it, and what is right: the price
# before and those that mails have.
WALKS: dict[str, tuple[dict[str, Any], list[int | None], int | None, list[int | None]]] = {
    "Low": ({"kind": "new_low"}, [10_000, 9_000, 8_000], 8_500, [9_000, 8_000]),
    "Not so low": ({"kind": "new_low"}, [10_000, 9_000, 8_000, 9_500], 9_400, [9_000]),
    "High": ({"kind": "new_high"}, [10_000, 11_000, 12_000], 11_500, [11_000, 12_000]),
    "Below": ({"kind": "below", "target": 10_000}, [12_000, 9_000, 8_000], 8_500, [9_000, 8_000]),
    "Back": ({"kind": "back_in_stock"}, [10_000, None, 10_000, None, 10_000], 10_100, [10_000, 10_000]),
    "Sold out": ({"kind": "sold_out"}, [10_000, None, 10_000, None], None, [None, None]),
}
LONG = "A kettle " + "with a very long name " * 8
HIDDEN = "\u202e\u2066\u200f\u00ad\u200b"
ALERTS = 5
MAILS = 3  # a day
HOST = "http://shop.example.com"


@contextmanager
def running(stack: Stack, **env: str) -> Iterator[tuple[Shop, Outside, Inbox]]:
    """A web and a worker, with offers, a receiver and a mail server for them."""
    with mail_server() as inbox, outside() as world:
        env = {"OFFERS_BASE_URL": world.url, "WEBHOOK_TEST_HOSTS": "127.0.0.1", "MAIL_URL": inbox.url(), **env}
        with stack.web(**env) as shop, stack.worker(**env):
            yield shop, world, inbox


def move(shop: Shop, world: Outside, prices: dict[str, int | None]) -> bool:
    """Whether products have such prices soon, once their offers have."""
    world.prices |= prices

    def moved() -> bool:
        return all(shop.get(f"/products/{id_}").json()["lowest_price"] == price for id_, price in prices.items())

    return bool(within(PATIENCE, moved))


def subjects(inbox: Inbox, to: str = "") -> list[str]:
    return [str(mail.message["Subject"]) for mail in inbox.arrived if not to or to in mail.recipients]


def told(inbox: Inbox, name: str) -> list[int | None]:
    """The prices in the subjects of the alerts about a product."""
    found = [subject.removeprefix(f"{name}: ") for subject in subjects(inbox) if subject.startswith(f"{name}: ")]
    numbers = [re.match(r"([\d.]+) EUR", price) for price in found]
    return [round(float(number[1]) * 100) if number else None for number in numbers]


@check("G20", "News that comes while an alert is silent is sent when the silence ends")
def silence(stack: Stack) -> Facts:
    with running(stack) as (shop, world, inbox):
        ids = {name: shop.add_product(name) for name in WALKS}
        move(shop, world, {ids[name]: walk[0] for name, (_, walk, _, _) in WALKS.items()})
        for name, (wish, _, _, _) in WALKS.items():
            shop.post("/alerts", json={"product_id": ids[name], "cooldown_seconds": SILENCE, **wish})
        for step in range(1, max(len(walk) for _, walk, _, _ in WALKS.values())):
            steps = {ids[name]: walk[step] for name, (_, walk, _, _) in WALKS.items() if len(walk) > step}
            assert move(shop, world, steps), world.prices
        time.sleep(2 * SILENCE)
        within(PATIENCE, lambda: all(told(inbox, name) == right for name, (_, _, _, right) in WALKS.items()))
        move(shop, world, {ids[name]: after for name, (_, _, after, _) in WALKS.items()})
        time.sleep(2 * SILENCE)
        for name, (wish, walk, _, right) in WALKS.items():
            yield Fact(f"{wish['kind']} of {walk}", told(inbox, name), right)


@check("G21", "A receiver that asks to be left alone is left alone, and gets everything later")
def left_alone(stack: Stack) -> Facts:
    with running(stack) as (shop, world, _):
        hook = shop.post("/webhooks", json={"url": f"{world.url}/hook", "events": ["product.created"]}).json()["id"]
        for status in (429, 503):
            yield from _asked(shop, world, hook, status)


def _asked(shop: Shop, world: Outside, hook: str, status: int) -> Facts:
    def once(number: int) -> Answer:
        moment = str(LEFT_ALONE) if status == 429 else formatdate(time.time() + LEFT_ALONE, usegmt=True)
        return (status, {"Retry-After": moment}) if number == 0 else (204, {})

    world.heard.clear()
    world.to_message = once
    shop.add_product(f"The one that is answered {status}")
    within(PATIENCE, lambda: world.heard)
    paused = within(10, lambda: shop.get(f"/webhooks/{hook}").json()["paused_until"])
    shop.add_product(f"Another after {status}")
    within(PATIENCE + LEFT_ALONE, lambda: len(world.heard) >= 3)
    moments = [moment for moment, _ in world.heard]
    pauses = [round(moment - moments[0], 1) for moment in moments[1:]]
    yield Fact(f"{status}: the webhook says until when it is paused", bool(paused))
    yield Fact(f"{status}: seconds until the next messages came", pauses, _as_asked)
    counts = sorted(Counter(message for _, message in world.heard).values())
    yield Fact(f"{status}: messages, by how often each came", counts, [1, 2])


def _as_asked(pauses: list[float]) -> bool:
    """two, neither before the moment that was asked for"""
    return len(pauses) == 2 and all(LEFT_ALONE - 1.5 <= pause <= LEFT_ALONE + PATIENCE for pause in pauses)


@check("G22", "A mail's subject keeps the price however long the name is, and marks that are not seen are left out")
def subject_of_a_mail(stack: Stack) -> Facts:
    with running(stack) as (shop, world, inbox):
        long, hidden = shop.add_product(LONG.strip()), shop.add_product(f"Lamp {HIDDEN}99.9", price=100, stock=5)
        move(shop, world, {long: 5_000, hidden: 5_000})
        for product in (long, hidden):
            shop.post("/alerts", json={"product_id": product, "kind": "any_change"})
        move(shop, world, {long: 4_284, hidden: 4_284})
        order = shop.post("/orders", json={"items": [{"product_id": hidden, "quantity": 1}]})
        within(PATIENCE, lambda: len(inbox.arrived) >= 3)
    found = subjects(inbox)
    of_long = next((subject for subject in found if subject.startswith("A kettle")), "")
    yield Fact("subject of a name of 185 characters", of_long, _keeps_the_price)
    yield Fact("subject of a name with marks", [one for one in found if one.startswith("Lamp")], _plain)
    texts = [part.get_content() for mail in inbox.arrived for part in mail.message.walk() if not part.is_multipart()]
    yield Fact("status of an order of it, and mails", (order.status_code, len(inbox.arrived)), (201, 3))
    yield Fact("marks in texts", [mark for mark in HIDDEN if any(mark in text for text in texts)], [])


def _keeps_the_price(subject: str) -> bool:
    """at most 78 characters, the last of which are the price"""
    return len(subject) <= 78 and subject.endswith(": 42.84 EUR (-14.32 %)")


def _plain(found: list[str]) -> bool:
    """one, of ASCII, with the price at its end"""
    return len(found) == 1 and found[0].isascii() and found[0].endswith(": 42.84 EUR (-14.32 %)")


@check("J33", "An address gets one mail until it is confirmed, then so many a day as are allowed, and can have none")
def mail_bomb(stack: Stack) -> Facts:
    with running(stack, PUBLIC_URL=HOST, MAILS_PER_DAY=str(MAILS)) as (shop, world, inbox):
        lamp = shop.add_product("Lamp", price=100, stock=50)
        move(shop, world, {lamp: 9_000})
        shop.post("/alerts", json={"product_id": lamp, "kind": "any_change"})
        victim = _registered(shop, "victim@example.com")
        for number in range(1, ALERTS + 1):
            wish = {"product_id": lamp, "kind": "change", "percent": number / 10}
            assert shop.post("/alerts", headers=victim, json=wish).status_code == 201
        shop.post("/orders", headers=victim, json={"items": [{"product_id": lamp, "quantity": 1}]})
        _until_the_admin_knows(shop, world, inbox, lamp, 9_100)
        yield Fact("mails to an address that is not confirmed", len(_to_victim(inbox)), 1)
        yield from _confirmed(shop, victim, _to_victim(inbox)[0])
        yield from _capped(shop, world, inbox, lamp)
        yield from _unsubscribed(shop, world, inbox, lamp, victim)
        yield from _one_mailbox(shop, inbox)


def _registered(shop: Shop, email: str) -> dict[str, str]:
    """The header of somebody new."""
    name = re.sub(r"[^a-z0-9]", ".", email)
    who = {"username": name, "password": PASSWORD}
    assert shop.post("/auth/register", headers=None, json={**who, "email": email}).status_code == 201
    return {"Authorization": f"Bearer {shop.post('/auth/login', headers=None, json=who).json()['access_token']}"}


def _to_victim(inbox: Inbox) -> list[Arrived]:
    return [mail for mail in inbox.arrived if "victim@example.com" in mail.recipients]


def _until_the_admin_knows(shop: Shop, world: Outside, inbox: Inbox, product: str, price: int) -> None:
    """Move a price, and wait until the admin's mail about it has come, and all that was queued with it."""
    move(shop, world, {product: price})
    within(PATIENCE, lambda: f": {price / 100:.2f} EUR" in " ".join(subjects(inbox, "boss@example.com")))
    time.sleep(5)


def _link(mail: Arrived) -> str:
    """The path that a mail's link leads to, below two slashes."""
    body = mail.message.get_body(("plain",))
    assert body is not None
    found = re.search(rf"{re.escape(HOST)}(\S+)", body.get_content())
    return f"/{found[1]}" if found else "//no-link"


def _confirmed(shop: Shop, victim: dict[str, str], mail: Arrived) -> Facts:
    def is_confirmed() -> bool:
        return bool(shop.get("/auth/me", headers=victim).json()["email_confirmed"])

    link = _link(mail)
    yield Fact("a look at the link confirms nothing", (shop.get(link).status_code, is_confirmed()), (200, False))
    yield Fact("the button confirms", (shop.post(link).status_code, is_confirmed()), (200, True))
    yield Fact("the button a second time", shop.post(link).status_code, 422)


def _capped(shop: Shop, world: Outside, inbox: Inbox, product: str) -> Facts:
    before = len(_to_victim(inbox))
    _until_the_admin_knows(shop, world, inbox, product, 9_200)
    within(PATIENCE, lambda: len(_to_victim(inbox)) >= before + MAILS)
    yield Fact(f"mails of {ALERTS} alerts", len(_to_victim(inbox)) - before, MAILS)
    within(2 * PATIENCE, lambda: len(_to_victim(inbox)) > before + MAILS)
    said = [str(mail.message["Subject"]) for mail in _to_victim(inbox)[before + MAILS :]]
    yield Fact("and of those that were too many", said, [f"{ALERTS - MAILS} more price alerts"])


def _unsubscribed(shop: Shop, world: Outside, inbox: Inbox, product: str, victim: dict[str, str]) -> Facts:
    mails = _to_victim(inbox)
    addresses = [str(mail.message["List-Unsubscribe"]) for mail in mails[1:]]
    right = [address.startswith(f"<{HOST}/api/v1/mail/unsubscribe?token=") for address in addresses]
    yield Fact("List-Unsubscribe of alerts and the digest", right, [True] * (MAILS + 1))
    posts = {str(mail.message["List-Unsubscribe-Post"]) for mail in mails[1:]}
    yield Fact("List-Unsubscribe-Post", posts, {"List-Unsubscribe=One-Click"})
    address = addresses[0]
    path = f"/{address.strip('<>').removeprefix(HOST)}"
    form = {"List-Unsubscribe": "One-Click"}
    answer = shop.post(path, headers={"Authorization": ""}, data=form)
    yield Fact("one click", answer.status_code, 200)
    yield Fact("mails of alerts are off", shop.get("/auth/me", headers=victim).json()["mail_alerts"], False)
    _until_the_admin_knows(shop, world, inbox, product, 9_300)
    yield Fact("mails after that", len(_to_victim(inbox)) - len(mails), 0)


def _one_mailbox(shop: Shop, inbox: Inbox) -> Facts:
    for number in range(8):
        _registered(shop, f"other+{number}@example.com")
    within(20, lambda: len([one for mail in inbox.arrived for one in mail.recipients if one.startswith("other")]) >= 5)
    time.sleep(5)
    to_other = [one for mail in inbox.arrived for one in mail.recipients if one.startswith("other")]
    yield Fact("mails to one mailbox for eight registrations", len(to_other), 5)
