"""Clocks that are set while everything runs, summer time, rows from the future, and a version that was rolled back."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Shop, Stack
from tests.mail_server import Inbox, mail_server
from tests.scenarios.processes import Process, patched_worker
from tests.wall_clock import NoCompiler, WallClock

INTERVAL = 3
STEPS = (-7_200, 7_200, 0)
CHANGES = {"spring": datetime(2026, 3, 29, 1, tzinfo=UTC), "autumn": datetime(2026, 10, 25, 1, tzinfo=UTC)}
LOST = patched_worker("--check", aggregator__services__jobs__WORKER_LOST_SECONDS=20)[1:]


@dataclass
class Shown:
    """A product with an alert, whose market moves when it is asked to."""

    stack: Stack
    shop: Shop
    id: str
    moves: int = 0

    @property
    def market(self) -> int | None:
        """The lowest price in stock of the offers service."""
        prices = [int(row["price"]) for row in self.stack.sandbox.offers_of(self.id) if row["items_in_stock"]]
        return min(prices, default=None)

    @property
    def price(self) -> Any:
        """The lowest price that the shop shows."""
        return self.shop.get(f"/products/{self.id}").json()["lowest_price"]

    def follows(self, times: int = 2) -> float:
        """Let the market move some times; after how many seconds the shop has followed the slowest of them."""
        took = 0.0
        for _ in range(times):
            before = self.market
            while self.market == before:
                self.stack.sandbox.advance()
            self.moves, moved = self.moves + 1, time.monotonic()
            within(60, lambda: self.price == self.market)
            took = max(took, time.monotonic() - moved)
        return took


def prompt(seconds: float) -> bool:
    """not longer than two intervals"""
    return seconds <= 2 * INTERVAL


def as_often_as_ever(count: int) -> bool:
    """one in each of the intervals, as far as a busy machine gets there"""
    return count >= 20 / INTERVAL - 2


def longest_gap(stack: Stack) -> float:
    """The longest time between two calls for offers, by the service's clock, which nobody sets."""
    asked = [call.at for call in stack.sandbox.calls if call.path.endswith("/offers")]
    return round(max(later - earlier for earlier, later in pairwise(asked)), 1)


def statuses(stack: Stack) -> set[int]:
    """What the offers service has answered to the calls for offers."""
    return {call.status for call in stack.sandbox.calls if call.path.endswith("/offers")}


@contextmanager
def alerted(stack: Stack, **env: str) -> Iterator[tuple[Shown, Process, Inbox]]:
    """A shop with one product, its worker, and where the mails of its alert arrive; env is that of the worker."""
    with mail_server() as inbox:
        mail = {"MAIL_URL": inbox.url(), "MAIL_FROM": "shop@example.com", "SYNC_INTERVAL_SECONDS": str(INTERVAL)}
        with stack.web(**mail) as shop, stack.worker(**mail, **env) as worker:
            shown = Shown(stack, shop, shop.add_product("Lamp"))
            within(60, lambda: shown.price is not None and shown.price == shown.market)
            alert = shop.post("/alerts", json={"product_id": shown.id, "kind": "any_change"})
            assert alert.status_code == 201, alert.text
            yield shown, worker, inbox


@check("A2", "The worker works on while the clock of its host is set by hours")
def steps(stack: Stack) -> Facts:
    try:
        clock = WallClock.in_folder(stack.directory)
    except NoCompiler as error:
        yield Fact(f"skipped, {error}", True)
        return
    with alerted(stack, **clock.env) as (shown, worker, inbox):
        for ahead in STEPS:
            clock.set(ahead)
            yield Fact(f"host {ahead} s ahead: seconds until moves are followed", shown.follows(), prompt)
            yield Fact("exit code of --check", stack.run("worker.py", "--check", **clock.env).returncode, 0)
        within(30, lambda: len(inbox.arrived) >= shown.moves)
        time.sleep(2 * INTERVAL)  # whatever would come twice
        yield Fact("mails of the alert", len(inbox.arrived), shown.moves)
        yield Fact("seconds between two calls for offers", longest_gap(stack), prompt)
        yield Fact("answers of the offers service", statuses(stack), {200})
        worker.signal(signal.SIGSTOP)
        stands = within(60, lambda: stack.run(*LOST, **clock.env).returncode == 1, pause=2.0)
        worker.signal(signal.SIGCONT)
        works = within(60, lambda: stack.run(*LOST, **clock.env).returncode == 0, pause=2.0)
        yield Fact("--check sees that the worker stands still, and that it works again", (stands, works), (True, True))
        yield Fact("tracebacks", worker.said.count("Traceback"), 0)


@check("A2", "The worker works on while summer time begins and ends")
def summer_time(stack: Stack) -> Facts:
    try:
        clock = WallClock.in_folder(stack.directory)
    except NoCompiler as error:
        yield Fact(f"skipped, {error}", True)
        return
    env = {**clock.env, "TZ": "Europe/Prague", "SYNC_INTERVAL_SECONDS": str(INTERVAL)}
    with stack.web(SYNC_INTERVAL_SECONDS=str(INTERVAL)) as shop:
        shown = Shown(stack, shop, shop.add_product("Lamp"))
        for season, moment in CHANGES.items():
            clock.set_to(moment - timedelta(minutes=2))
            with stack.worker(**env) as worker:
                shown.follows()  # which waits for the worker to be there
                clock.set_to(moment - timedelta(seconds=8))
                calls = len(stack.sandbox.calls)
                until = time.monotonic() + 20
                took = shown.follows()
                while time.monotonic() < until:
                    took = max(took, shown.follows())
                checked = stack.run("worker.py", "--check", **env).returncode
                yield Fact(f"{season}: seconds until moves are followed", round(took, 1), prompt)
                yield Fact(f"{season}: calls for offers", len(stack.sandbox.calls) - calls, as_often_as_ever)
                yield Fact(f"{season}: exit code of --check", checked, 0)
                yield Fact(f"{season}: tracebacks", worker.said.count("Traceback"), 0)
    yield Fact("answers of the offers service", statuses(stack), {200})


@check("A2", "Tokens are good on every web, whatever the clocks of the hosts say")
def tokens(stack: Stack) -> Facts:
    try:
        clock = WallClock.in_folder(stack.directory)
    except NoCompiler as error:
        yield Fact(f"skipped, {error}", True)
        return
    # A web on SQLite has no clock but the host's: by one that is two hours ahead, tokens of five minutes are over.
    steps = STEPS if stack.backend == "postgresql" else (-7_200, 0)
    with stack.web() as right, stack.web(**clock.env) as wrong:
        for ahead in steps:
            clock.set(ahead)
            seen = [shop.get("/auth/me", headers=other.headers).status_code for shop, other in _pairs(right, wrong)]
            yield Fact(f"one web {ahead} s ahead: each token at each web", seen, [200] * 4)
    clock.set(-7_200)
    with stack.web(**clock.env) as late:
        yield Fact("started two hours behind", late.get("/auth/me", headers=right.headers).status_code, 200)


def _pairs(one: Shop, other: Shop) -> list[tuple[Shop, Shop]]:
    return [(shop, signed_in_at) for shop in (one, other) for signed_in_at in (one, other)]


@check("A3", "An older version runs on a newer schema, and its release passes")
def newer_schema(stack: Stack) -> Facts:
    engine = sa.create_engine(stack.env["DATABASE_URL"])
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE wishes (id integer PRIMARY KEY)")
        connection.exec_driver_sql("ALTER TABLE products ADD COLUMN wishes integer")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0a1b2c3d4e5f'")
    engine.dispose()
    release = stack.flask("db", "upgrade")
    yield Fact("exit code of db upgrade, and its lines", (release.returncode, release.stdout.count("\n")), (0, 1))
    with stack.web() as shop, stack.worker() as worker:
        shown = Shown(stack, shop, shop.add_product("Lamp"))
        shows = within(60, lambda: shown.price is not None and shown.price == shown.market)
        yield Fact("readyz", shop.get("//readyz").status_code, 200)
        yield Fact("the worker brings offers", bool(shows))
        yield Fact("tracebacks", worker.said.count("Traceback"), 0)


@check("J37", "Rows that lie ahead of the database's clock are named, and heal", backends=("sqlite",))
def rows_ahead(stack: Stack) -> Facts:
    try:
        clock = WallClock.in_folder(stack.directory)
    except NoCompiler as error:
        yield Fact(f"skipped, {error}", True)
        return
    clock.set(7_200)
    with stack.web(**clock.env) as shop, stack.worker(**clock.env):
        shown = Shown(stack, shop, shop.add_product("Lamp"))
        within(60, lambda: shown.price is not None and shown.price == shown.market)
        shown.follows()
    with stack.web() as shop:
        shown = Shown(stack, shop, shown.id)
        yield Fact("named in /status", _gone_back(shop))
        with stack.worker():
            within(60, lambda: shop.get("//status").json()["status"] == "ok")
            shown.follows(1)
            yield Fact("seconds until moves are followed", shown.follows(), lambda seconds: seconds <= 4)
            yield Fact("named in /status when it has healed", within(30, lambda: not _gone_back(shop)))
            yield Fact("what /status says", shop.status()["problems"], [])
    yield Fact("exit code of audit", stack.audit().returncode, 0)


def _gone_back(shop: Shop) -> bool:
    return any("the clock of the database has gone back" in problem for problem in shop.status()["problems"])
