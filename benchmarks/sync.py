"""How fast the worker syncs, beside what limits it in the same run: `make bench-sync`.

One worker process, a real PostgreSQL with its default durability and a fast stub of the offers service share
this machine, so only the ratios of one run say anything about another machine.
"""

import argparse
import itertools
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import truediv
from pathlib import Path

import flask_migrate
import sqlalchemy as sa
from flask import Flask

from aggregator.app import create_app
from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.clock import utcnow
from aggregator.config import Settings, normalized_database_url
from aggregator.database import db, in_transaction
from aggregator.models import Feed, Product, Registration
from benchmarks.stub import product_ids, running_stub
from benchmarks.wire import answers_per_second
from tests.postgres import PostgresServer, postgres

SEED = 1
OFFERS = 10
CHANGES = (0, 10, 100)
LONG_AGO = "2026-01-01T00:00:00.000000Z"


def app_for(database: str, stub: str) -> Flask:
    """The app on a database and a stub. Nothing becomes due but what a benchmark has made due."""
    service = OffersService(normalized_base_url(stub), refresh_token="benchmark")
    return create_app(Settings(normalized_database_url(database), service, sync_interval_seconds=86_400))


@dataclass
class Bench:
    """A database full of registered products, a stub that knows them, and a worker process to sync them."""

    database: str
    stub: str
    products: int
    sqlite: bool = False
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        self.app = app_for(self.database, self.stub)
        self.ids = product_ids(self.products, SEED)
        with self.app.app_context():
            flask_migrate.upgrade()
            in_transaction(self._fill)

    def _fill(self) -> None:
        now, fingerprint = utcnow(), self.app.extensions["settings"].offers.fingerprint
        stamps = {"created_at": now, "updated_at": now}
        words = "A description of ordinary length, as products have them. " * 4
        db.session.execute(
            sa.insert(Product), [{"id": i, "name": f"Product {i}", "description": words, **stamps} for i in self.ids]
        )
        feed = {"status": Registration.REGISTERED, "registered_with": fingerprint, "due_at": now}
        db.session.execute(sa.insert(Feed), [{"product_id": i, **feed} for i in self.ids])

    def make_due(self) -> None:
        """Have every product due again, and the database in the state that autovacuum keeps it in."""
        with self.app.app_context():
            in_transaction(lambda: db.session.execute(sa.text(f"UPDATE feeds SET due_at = '{LONG_AGO}'")))
            if not self.sqlite:
                with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                    connection.exec_driver_sql("VACUUM (ANALYZE)")

    def change(self, percent: float) -> None:
        """Have the stub change so many percent of all prices between two answers."""
        request = urllib.request.Request(f"{self.stub}/changed/{percent}", method="PUT")
        urllib.request.urlopen(request).close()

    @contextmanager
    def worker(self) -> Iterator[Callable[[str], dict[str, float]]]:
        """A worker process; call it with "sync" or "parse" for a pass, and get what it measured."""
        command = [sys.executable, "-m", "benchmarks.sync_worker", self.database, self.stub, str(self.products)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout

            def ask(what: str) -> dict[str, float]:
                process.stdin.write(what + "\n")
                process.stdin.flush()
                return json.loads(process.stdout.readline())

            yield ask
            process.stdin.close()

    def sync(self, worker: Callable[[str], dict[str, float]], percent: float, what: str = "sync") -> dict[str, float]:
        """Measure one pass over all products with so many percent of the offers changed."""
        self.change(percent)
        self.make_due()
        result = worker(what)
        assert result["synced"] == self.products, result
        return result


def side_by_side(server: PostgresServer, products: int, rounds: int) -> None:
    """The rates with nothing, little and everything changed, beside the limits of the same run."""
    server.create_database("rates")
    with running_stub(products, OFFERS, 0, SEED) as stub:
        bench = Bench(server.url("rates"), stub, products)
        rates: dict[object, list[float]] = {}
        with bench.worker() as worker:
            bench.sync(worker, 0)  # the first pass stores everything; it is not what a worker does all day
            for _ in range(rounds):
                rates.setdefault("stub", []).append(answers_per_second(stub, bench.ids))
                rates.setdefault("parse", []).append(products / worker("parse")["seconds"])
                # Those two have moved the stub on, and nobody has stored what it said to them.
                bench.sync(worker, 0)
                for percent in CHANGES:
                    rates.setdefault(percent, []).append(products / bench.sync(worker, percent)["seconds"])
    print(f"\n{products:,} products x {OFFERS} offers, PostgreSQL, one worker process, medians of {rounds} rounds")
    print(f"  {'the limit of the stub':<38}{_rate(rates['stub'])}")
    print(f"  {'HTTP and parsing alone':<38}{_rate(rates['parse'])}   100 %")
    for percent, goal in zip(CHANGES, (60, 60, 30), strict=True):
        # Within each round, because the speed of a shared machine drifts.
        share = 100 * statistics.median(map(truediv, rates[percent], rates["parse"]))
        label = f"sync, {percent} % of the offers changed"
        print(f"  {label:<38}{_rate(rates[percent])}   {share:3.0f} %  (goal {goal} %)")


def _rate(rates: list[float]) -> str:
    return f"{statistics.median(rates):9,.0f}/s  ({min(rates):,.0f}-{max(rates):,.0f})"


def sizes(server: PostgresServer, largest: int, rounds: int) -> None:
    """The cost of a product and the memory of the worker, from a small catalogue to a large one."""
    print("\nCost of a product with 10 % changed, and the worker's peak memory")
    for products in (1_000, 10_000, largest):
        server.create_database(f"size_{products}")
        with running_stub(products, OFFERS, 10, SEED) as stub:
            bench = Bench(server.url(f"size_{products}"), stub, products)
            with bench.worker() as worker:
                bench.sync(worker, 10)
                passes = [bench.sync(worker, 10) for _ in range(rounds)]
        cost = statistics.median(result["seconds"] for result in passes) / products * 1e6
        print(f"  {products:>9,} products  {cost:6.1f} us each  {1e6 / cost:9,.0f}/s  {passes[-1]['rss_mb']:5.0f} MB")


def sqlite(products: int) -> None:
    """The same on SQLite."""
    with tempfile.TemporaryDirectory() as folder, running_stub(products, OFFERS, 10, SEED) as stub:
        bench = Bench(f"sqlite:///{Path(folder) / 'bench.db'}", stub, products, sqlite=True)
        with bench.worker() as worker:
            bench.sync(worker, 10)
            seconds = bench.sync(worker, 10)["seconds"]
    print(f"\nSQLite, {products:,} products, 10 % changed: {products / seconds:,.0f}/s  (goal 1,000/s)")


def reads_while_syncing(server: PostgresServer, products: int) -> None:
    """Whether what is read during a sync is whole: a product's summary is what its offers say."""
    server.create_database("reads")
    stop, counts, wrong = threading.Event(), {"product": 0, "page": 0}, []
    with running_stub(products, OFFERS, 10, SEED) as stub:
        bench = Bench(server.url("reads"), stub, products)
        with bench.worker() as worker:
            bench.sync(worker, 10)
            reader = threading.Thread(target=_read, args=(bench, stop, counts, wrong))
            reader.start()
            results = [bench.sync(worker, 10) for _ in range(3)]
            stop.set()
            reader.join()
    rate = products / statistics.median(result["seconds"] for result in results)
    print(f"\nReads during three passes at {rate:,.0f}/s: {counts['product']:,} products, {counts['page']:,} pages")
    print(f"  of 50, {len(wrong)} wrong (goal 0){': ' + str(wrong[:3]) if wrong else ''}")


def _read(bench: Bench, stop: threading.Event, counts: dict[str, int], wrong: list[str]) -> None:
    client, pick = bench.app.test_client(), random.Random(SEED)
    for turn in itertools.count():
        if stop.is_set():
            return
        if turn % 2:
            response = client.get(f"/api/v1/products/{pick.choice(bench.ids)}")
            counts["product"] += 1
            if response.status_code != 200 or not _is_whole(response.json):
                wrong.append(response.text[:500])
        else:
            response = client.get(f"/api/v1/products?page_size=50&page={pick.randint(1, bench.products // 50)}")
            counts["page"] += 1
            if response.status_code != 200 or len(response.json) != 50:
                wrong.append(response.text[:500])


def _is_whole(product: dict) -> bool:
    prices = [offer["price"] for offer in product["offers"] if offer["items_in_stock"]]
    seen = {offer["last_seen_at"] for offer in product["offers"]}
    summary = (product["offer_count"], product["lowest_price"])
    return summary == (len(product["offers"]), min(prices)) and seen == {product["offers_synced_at"]}


def main() -> None:
    """Run all of it, or a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["rates", "sizes", "sqlite", "reads"])
    options = parser.parse_args()
    logging.disable(logging.INFO)
    started = time.monotonic()
    with postgres(durable=True, shared_buffers="256MB", max_wal_size="2GB") as server:
        if options.only in (None, "rates"):
            side_by_side(server, options.products, options.rounds)
        if options.only in (None, "reads"):
            reads_while_syncing(server, options.products)
        if options.only in (None, "sizes"):
            sizes(server, options.largest, 3)
    if options.only in (None, "sqlite"):
        sqlite(options.products // 2)
    print(f"\nDone in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
