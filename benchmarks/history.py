"""How fast old prices are read and rolled up, beside what limits it in the same run: `make bench-history`.

Ten million points of sixty days are made once, in some minutes, and kept in a directory of their own; every run works
on a copy of them. Only the ratios of one run say anything about another machine.
"""

import argparse
import itertools
import logging
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.clock import utcnow
from aggregator.database import close, db, in_transaction
from aggregator.models import Alert, AlertKind, Direction, Role, User
from aggregator.models.types import TIMESTAMP_FORMAT
from benchmarks.kept import connect, copy_of, prepared
from benchmarks.stub import product_ids, running_stub
from benchmarks.sync import LONG_AGO, OFFERS, SEED, Bench
from tests.postgres import PostgresServer, kept_postgres

KEPT = Path("/tmp/aggregator-bench-history")  # the path of a socket must be short
PRODUCTS, SYNCED = 1_000, 5_000  # that have old prices, and all that are synced
ALERTS = 10_000
DAYS, MONTH = 60, timedelta(days=30)
KEPT_FOR = timedelta(days=5)  # later than that, the points are too old to be asked for the last 30 days

# All products of a tick have a point at the same moment, as when they are synced; one in fifty is sold out.
FILL = """
INSERT INTO {table} SELECT key, %(until)s - interval '{days} days' + tick * interval '{days} days' / {ticks},
  CASE WHEN place %% 50 > 0 THEN 1000 + place %% 9000 END {count}
FROM generate_series(0, {ticks} - 1) AS tick, unnest(%(keys)s) WITH ORDINALITY AS series(key, number),
  LATERAL (SELECT hashint8(tick * 100003 + number) & 2147483647 AS place) AS random
ORDER BY tick, number
"""
# The least that SQL has to do for the answers, in the form that goes fastest here: it takes a price as asked in the
# hour in which it began, and tells no ends.
BARE_HISTORY = """
SELECT date_trunc('hour', at), min(price), sum(price * held) / sum(held), max(price), max(at) FROM (
  SELECT observed_at AS at, lowest_price AS price,
    extract(epoch FROM lead(observed_at) OVER (ORDER BY observed_at) - observed_at) AS held
  FROM product_price_points WHERE product_id = %(id)s AND observed_at >= %(since)s AND observed_at < %(until)s
) AS points WHERE price IS NOT NULL GROUP BY 1 ORDER BY 1
"""
BARE_TREND = """
SELECT min(price), sum(price * held) / sum(held), max(price), min(at), max(at) FROM (
  SELECT observed_at AS at, lowest_price AS price,
    extract(epoch FROM lead(observed_at) OVER (ORDER BY observed_at) - observed_at) AS held
  FROM product_price_points WHERE product_id = %(id)s AND observed_at >= %(since)s AND observed_at < %(until)s
) AS points WHERE price IS NOT NULL
"""


def fill(points: int, cursor: Any, until: datetime) -> None:
    """So many points, half of them of products and half of offers, of the days until a moment."""
    ticks = points // 2 // PRODUCTS
    _insert(cursor, until, "product_price_points", ticks, product_ids(SYNCED, SEED)[:PRODUCTS], "uuid", ", 10")
    offers = list(range(1, PRODUCTS * OFFERS + 1))
    _insert(cursor, until, "price_points", ticks // OFFERS, offers, "bigint", "")


def _insert(cursor: Any, until: datetime, table: str, ticks: int, keys: list[Any], kind: str, count: str) -> None:
    statement = FILL.format(table=table, ticks=ticks, days=DAYS, count=count).replace("%(keys)s", f"%(keys)s::{kind}[]")
    cursor.execute(statement, {"until": until, "keys": keys})


class HistoryBench(Bench):
    """The bench of the sync, in a database that has more than the sync looks at."""

    def make_due(self) -> None:
        """Have every product due again, and the tables of the sync in the state that autovacuum keeps them in."""
        with self.app.app_context():
            in_transaction(lambda: db.session.execute(sa.text(f"UPDATE feeds SET due_at = '{LONG_AGO}'")))
            with db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.exec_driver_sql("VACUUM (ANALYZE) feeds, offers")


def reads(server: PostgresServer, name: str, bench: HistoryBench, until: datetime, rounds: int) -> None:
    """A trend and an hourly history over 30 days as the API answers them, beside the bare SQL."""
    client, pick = bench.app.test_client(), Random(SEED)
    since = until - MONTH
    period = f"since={since.strftime(TIMESTAMP_FORMAT)}&until={until.strftime(TIMESTAMP_FORMAT)}"
    ids = [pick.choice(bench.ids[:PRODUCTS]) for _ in range(rounds)]
    print(f"\nOver 30 days of a product, medians of {rounds}, in ms  (goal: 3 x the bare SQL)")
    with closing(connect(server, name)) as connection, connection.cursor() as cursor:

        def bare(statement: str, id_: str) -> None:
            cursor.execute(statement, {"id": id_, "since": since, "until": until})
            assert cursor.fetchall()

        def asked(path: str, id_: str) -> None:
            response = client.get(f"/api/v1/products/{id_}/{path}{period}")
            assert response.status_code == 200, response.text

        for what, path, statement in (
            ("trend", "price-trend?", BARE_TREND),
            ("hourly history", "price-history?interval=hour&", BARE_HISTORY),
        ):
            pairs = [(_seconds(bare, statement, id_), _seconds(asked, path, id_)) for id_ in ids[:3] + ids][3:]
            base, answer = (1000 * statistics.median(seconds) for seconds in zip(*pairs, strict=True))
            print(f"  {what:<20}{answer:7.2f}   bare SQL {base:6.2f}   {answer / base:4.1f} x")


def _seconds(work: Callable[[str, str], None], *arguments: str) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def retention(bench: HistoryBench, rounds: int) -> None:
    """How fast points become hours in the worker, and how much slower its sync is meanwhile."""
    alone, beside, moved, seconds = [], [], 0.0, 0.0
    with bench.worker() as worker:
        bench.sync(worker, 10)  # the first pass stores everything; it is not what a worker does all day
        for _ in range(rounds):
            alone.append(bench.sync(worker, 10)["seconds"])
            worker("start")
            beside.append(bench.sync(worker, 10)["seconds"])
            done = worker("stop")
            moved, seconds = moved + done["points"], seconds + done["seconds"]
        print(f"\nPoints that become hours beside {rounds} syncs of {bench.products:,} products, 10 % changed")
        print(f"  while the sync is at work {moved / seconds:9,.0f}/s  (goal 50,000/s), {moved:,.0f} points")
        ratio = statistics.median(beside) / statistics.median(alone)
        medians = [1000 * statistics.median(passes) for passes in (alone, beside)]
        print(f"  a sync's median {medians[0]:.0f} ms, meanwhile {medians[1]:.0f} ms   {ratio:.2f} x  (goal 1.5 x)")
        worker("start")
        time.sleep(10)
        done = worker("stop")
        print(f"  by itself                 {done['points'] / done['seconds']:9,.0f}/s")


def alerts(bench: HistoryBench, rounds: int) -> None:
    """How much longer a sync takes, with the announcing of what it has changed, when many alerts watch."""
    with bench.app.app_context():
        in_transaction(lambda: _watch(bench.ids))
    none, many, messages = [], [], 0.0
    with bench.worker() as worker:
        bench.sync(worker, 10, "cycle")
        for _ in range(rounds):
            for active, seconds in ((False, none), (True, many)):
                with bench.app.app_context():
                    in_transaction(lambda: db.session.execute(sa.update(Alert).values(active=active)))  # noqa: B023
                for _ in range(2):  # there and back: the stub has two answers for each product
                    done = bench.sync(worker, 10, "cycle")
                    seconds.append(done["seconds"])
                    messages += done.get("messages", 0)
    without, watched = (1000 * statistics.median(seconds) for seconds in (none, many))
    ratio = statistics.median(b / a for a, b in zip(none, many, strict=True))
    print(f"\nSyncs of {bench.products:,} products with what they tell, 10 % changed, medians of {rounds}")
    print(f"  without alerts {without:.0f} ms, with {ALERTS:,} {watched:.0f} ms   {ratio:.2f} x  (goal 1.3 x)")
    print(f"  {messages / len(many):,.0f} messages in each")


def _watch(product_ids: list[str]) -> None:
    """Alerts of all kinds, a hundred of each user."""
    now, kinds = utcnow(), itertools.cycle(AlertKind)
    users = [uuid4() for _ in range(ALERTS // 100)]
    stamps = {"created_at": now, "updated_at": now}
    people = [{"id": user, "username": str(user), "username_key": str(user), **stamps} for user in users]
    for person in people:
        person |= {"email": f"{person['id']}@example.com", "email_key": f"{person['id']}@example.com"}
    db.session.execute(sa.insert(User), [{**person, "password_hash": "", "role": Role.CUSTOMER} for person in people])
    rows = []
    for number in range(ALERTS):
        kind = next(kinds)
        of_change = {"basis_points": 500, "direction": Direction.BOTH} if kind is AlertKind.CHANGE else {}
        target = {"target": 10_000} if kind is AlertKind.BELOW else {}
        whose = {"user_id": users[number // 100], "product_id": UUID(product_ids[number % len(product_ids)])}
        plain = {"target": None, "basis_points": None, "direction": None, "since_number": 0}
        rows.append({"id": uuid4(), "kind": kind, **whose, **plain, **of_change, **target, **stamps})
    db.session.execute(sa.insert(Alert), rows)


def main() -> None:
    """Run all of it, or a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=9, help="of syncs")
    parser.add_argument("--reads", type=int, default=200)
    parser.add_argument("--only", choices=["reads", "alerts", "retention"])
    options = parser.parse_args()
    logging.disable(logging.INFO)
    began = time.monotonic()
    with (
        kept_postgres(KEPT, shared_buffers="256MB", max_wal_size="2GB") as server,
        running_stub(SYNCED, OFFERS, 0, SEED) as stub,
    ):
        name = f"points_{options.points}"
        until = prepared(server, name, partial(fill, options.points), KEPT_FOR)
        with copy_of(server, name) as work:
            bench = HistoryBench(server.url(work), stub, SYNCED)
            if options.only in (None, "reads"):
                reads(server, work, bench, until, options.reads)
            if options.only in (None, "alerts"):
                alerts(bench, options.rounds)
            if options.only in (None, "retention"):
                retention(bench, options.rounds)
            close(bench.app)
    print(f"\nDone in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
