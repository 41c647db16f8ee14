"""How fast the API answers, beside a bare route of Flask in the same run: `make bench-api`.

Gunicorn with two workers, a real PostgreSQL and the client share this machine, so only the ratios of one run say
anything about another machine. The catalogues are made once, the largest in some minutes, and kept.
"""

import argparse
import csv
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import sqlalchemy as sa
from flask.testing import FlaskClient

from aggregator.config import normalized_database_url
from aggregator.database import close, db, in_transaction
from aggregator.reading import KeptReads
from aggregator.services import samples
from benchmarks.catalogue import SEED, fill
from benchmarks.kept import copy_of, prepared
from benchmarks.load import Load, put_under_load, request
from benchmarks.stub import running_stub
from benchmarks.sync import LONG_AGO, OFFERS, Bench, app_for
from tests.conftest import Cluster, migrate
from tests.postgres import PostgresServer, kept_postgres
from tests.scenarios.processes import ROOT, answers, environment, eventually, free_port, process, web

KEPT = Path("/tmp/aggregator-bench-api")  # the path of a socket must be short
PRODUCTS, SIZES = 100_000, (1_000, 100_000, 1_000_000)
PAGE = 50
COLUMNS = ("id", "name", "description", "brand", "price", "stock", "rating")  # of a file to import
ASKED = 2_000  # products, one after the other, again and again
BARE = "bare route of Flask"
PRODUCT, PAGE_1, NEXT_PAGE, UNCHANGED = "product with its offers", "page of 50", "page of 50 by cursor", "304"
FIRST_TIME = "product never asked for"  # so that nothing of it can be kept
GOALS = {PRODUCT: 40, PAGE_1: 30, NEXT_PAGE: 30, UNCHANGED: 55}  # percent of the bare route's answers a second


class CatalogueBench(Bench):
    """The bench of the sync, in a database that has its products already."""

    def _fill(self) -> None:
        pass

    def make_some_due(self, ids: list[str]) -> None:
        """Have some products due now."""
        statement = sa.text(f"UPDATE feeds SET due_at = '{LONG_AGO}' WHERE product_id = ANY(CAST(:ids AS uuid[]))")
        with self.app.app_context():
            in_transaction(lambda: db.session.execute(statement, {"ids": ids}))


@contextmanager
def bare_route(folder: Path) -> Iterator[str]:
    """A server like ours in all but what it serves."""
    port = free_port()
    manner = ["--worker-class=gthread", "--workers=2", "--threads=4", "--no-control-socket"]
    command = [sys.executable, "-m", "gunicorn", "-c", "/dev/null", *manner, f"--bind=127.0.0.1:{port}"]
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with process([*command, "benchmarks.bare:app"], env, folder / "bare.log"):
        yield f"http://127.0.0.1:{port}"


def requests_of(url: str, bare: str, ids: list[str]) -> dict[str, tuple[str, list[bytes], int]]:
    """What each kind of request is sent to, and the status that it is to have."""
    shuffled = Random(SEED).sample(ids, len(ids))
    chosen, others = shuffled[:ASKED], shuffled[ASKED:]
    products = [f"/api/v1/products/{id_}" for id_ in chosen]
    known = [request(url, path, If_None_Match=_headers(url + path)["ETag"]) for path in products]
    pages = [f"/api/v1/products?page_size={PAGE}"]
    for _ in range(100):
        pages.append(_headers(url + pages[-1])["Link"].partition('>; rel="next"')[0].rpartition("<")[2])
    return {
        BARE: (bare, [request(bare, f"/bare/{id_}") for id_ in chosen], 200),
        PRODUCT: (url, [request(url, path) for path in products], 200),
        FIRST_TIME: (url, [request(url, f"/api/v1/products/{id_}") for id_ in others], 200),
        PAGE_1: (url, [request(url, pages[0])], 200),
        NEXT_PAGE: (url, [request(url, path) for path in pages[1:]], 200),
        UNCHANGED: (url, known, 304),
    }


def _headers(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url) as response:
        return dict(response.headers)


def served(server: PostgresServer, database: str, rounds: int, seconds: float) -> None:
    """Answers a second of each kind of request, with and without a sync at work beside them."""
    with ExitStack() as stack:
        stub = stack.enter_context(running_stub(PRODUCTS, OFFERS, 0, SEED))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = CatalogueBench(server.url(database), stub, PRODUCTS)
        worker = stack.enter_context(bench.worker())
        bench.sync(worker, 10)  # so that there are offers
        env = environment(normalized_database_url(server.url(database)), stub)
        site = stack.enter_context(web(env, folder / "web.log"))
        bare = stack.enter_context(bare_route(folder))
        eventually(lambda: answers(site.url))
        kinds = requests_of(site.url, bare, bench.ids)
        alone = measured(kinds, rounds, seconds)
        print(f"\n{PRODUCTS:,} products x {OFFERS} offers, 2 workers, 16 connections, medians of {rounds} rounds")
        _print(alone)
        for what, syncing in (("all of them each minute", paced), ("without a rest", restless)):
            with syncing(bench, worker) as rate:  # which changes their tags, so there are no 304s
                beside = measured({name: kind for name, kind in kinds.items() if name != UNCHANGED}, rounds, seconds)
            print(f"\nBeside a worker that syncs {what}, 10 % changed, {rate():,.0f} products a second")
            _print(beside, beside_a_sync=True)
        close(bench.app)


def measured(kinds: dict[str, tuple[str, list[bytes], int]], rounds: int, seconds: float) -> dict[str, list[Load]]:
    """What each kind of request comes to, in many short rounds.

    The speed of a shared machine drifts, and each round has new connections, because gunicorn's workers take them as
    they come: now and then one of them gets them all.
    """
    loads: dict[str, list[Load]] = {name: [] for name in kinds}
    for url, requests, status in kinds.values():
        put_under_load(url, requests, status, seconds=1)
    for _ in range(rounds):
        for name, (url, requests, status) in kinds.items():
            loads[name].append(put_under_load(url, requests, status, seconds=seconds))
    return loads


def _print(loads: dict[str, list[Load]], beside_a_sync: bool = False) -> None:
    for name, several in loads.items():
        rate = statistics.median(load.rate for load in several)
        share = 100 * statistics.median(a.rate / b.rate for a, b in zip(several, loads[BARE], strict=True))
        half, slow = (statistics.median(load.percentile(p) for load in several) for p in (50, 99))
        times = f"p50 {half:5.1f} ms, p99 {slow:5.1f} ms or {slow / half:.1f} x"
        goal = GOALS.get(name, 0) * (2 / 3 if beside_a_sync else 1)
        print(f"  {name:<26}{rate:7,.0f}/s {share:4.0f} %   {times}{f'   (goal {goal:.0f} %, 8 x)' if goal else ''}")


@contextmanager
def paced(bench: CatalogueBench, worker: Callable[[str], dict[str, float]]) -> Iterator[Callable[[], float]]:
    """A worker that syncs all products once in a minute, as many in each second, as after some minutes it does."""
    share, turn = bench.products // 60, 0

    def work() -> int:
        nonlocal turn
        began = time.monotonic()
        turn = (turn + 1) % 60
        bench.make_some_due(bench.ids[turn * share : (turn + 1) * share])
        synced = int(worker("sync")["synced"])
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        return synced

    with _syncing(bench, work) as rate:
        yield rate


@contextmanager
def restless(bench: CatalogueBench, worker: Callable[[str], dict[str, float]]) -> Iterator[Callable[[], float]]:
    """A worker that finds everything due again as soon as it has synced it."""

    def work() -> int:
        bench.make_some_due(bench.ids[: bench.products // 5])
        return int(worker("sync")["synced"])

    with _syncing(bench, work) as rate:
        yield rate


@contextmanager
def _syncing(bench: CatalogueBench, work: Callable[[], int]) -> Iterator[Callable[[], float]]:
    stop, began, synced = threading.Event(), time.monotonic(), [0]

    def go_on() -> None:
        bench.change(10)
        while not stop.is_set():
            synced[0] += work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield lambda: synced[0] / (time.monotonic() - began)
    finally:
        stop.set()
        thread.join()


PROMISED = ("first page", "page 1 000, by cursor", "search that matches many")
SORTS = ("name", "-updated_at", "lowest_price", "-lowest_price", "price", "-price", "-rating", "stock", "-offer_count")
LISTS = {
    "first page": "page_size=50",
    "page 1 000, by cursor": "",
    "search that matches many": "q=espresso%20mach&page_size=50",
    "search in a category": "q=aurelo&category=kitchen&page_size=50",
    **{f"sorted by {sort}": f"sort={sort}&page_size=50" for sort in SORTS},
    "of a brand": "brand=hexley&page_size=50",
    "of a category": "category=home&page_size=50",
    "of a price": "min_price=20000&max_price=21000&page_size=50",
}


def growth(server: PostgresServer, rounds: int) -> None:
    """How long a page takes in a small catalogue and in a large one."""
    times: dict[str, list[float]] = {name: [] for name in LISTS}
    for size in SIZES:
        app = app_for(server.url(f"catalogue_{size}"), "http://127.0.0.1:9")
        app.extensions["kept_reads"] = KeptReads(0)  # what it takes to read, and not to remember
        client = app.test_client()
        last = client.get(f"/api/v1/products?page_size={PAGE}&page={min(999, size // PAGE - 1)}")
        far = last.headers["Link"].partition('>; rel="next"')[0].rpartition("?")[2]
        for name, query in LISTS.items():
            times[name].append(_median_ms(client, query or far, rounds))
        close(app)
    sizes = ", ".join(f"{size:,}" for size in SIZES)
    print(f"\nA page of {PAGE} in catalogues of {sizes} products, in ms, medians of {rounds}")
    for name, (small, *others) in times.items():
        row = "".join(f"{each:8.1f}" for each in (small, *others))
        print(f"  {name:<26}{row}   {others[-1] / small:4.1f} x{'  (goal 2 x)' if name in PROMISED else ''}")


def _median_ms(client: FlaskClient, query: str, rounds: int) -> float:
    took = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        response = client.get(f"/api/v1/products?{query}")
        took.append(time.perf_counter() - began)
        assert response.status_code == 200, response.text
        assert response.json, query
    return 1000 * statistics.median(took[2:])


def imports(server: PostgresServer, rows: int) -> None:
    """How fast a file of products becomes a catalogue, by the command, and what memory that takes."""
    print("\nflask products import, CSV, PostgreSQL")
    for count in (rows // 10, rows):
        url = Cluster(server.url).create("imported")
        migrate(url)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "products.csv"
            with file.open("w", newline="") as lines:
                writer = csv.DictWriter(lines, COLUMNS)
                writer.writeheader()
                writer.writerows(samples.products(count, SEED))
            seconds, megabytes = _imported(environment(url, "http://127.0.0.1:9"), file)
        rate = f"{count / seconds:7,.0f}/s  (goal 5,000/s)"
        print(f"  {count:>9,} rows in {seconds:5.1f} s  {rate}  {megabytes:4.0f} MB")


def _imported(env: dict[str, str], file: Path) -> tuple[float, float]:
    """How long the command takes, and how much memory at most."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "products", "import", str(file)]
    began = time.monotonic()
    popen = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(popen.pid, 0)
    assert status == 0
    return time.monotonic() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Run all of it, or a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", choices=["served", "growth", "imports"])
    options = parser.parse_args()
    logging.disable(logging.INFO)
    began = time.monotonic()
    fingerprint = app_for("sqlite://", "http://127.0.0.1:9").extensions["settings"].offers.fingerprint
    with kept_postgres(KEPT, shared_buffers="512MB", max_wal_size="2GB") as server:
        # Imports first: Linux says of a process that it took at least as much memory as the one that started it.
        for size in SIZES if options.only in (None, "growth") else (PRODUCTS,):
            prepared(server, f"catalogue_{size}", partial(fill, size, fingerprint))
        if options.only in (None, "imports"):
            imports(server, 100_000)
        if options.only in (None, "served"):
            with copy_of(server, f"catalogue_{PRODUCTS}") as work:
                served(server, work, options.rounds, options.seconds)
        if options.only in (None, "growth"):
            growth(server, 20)
    print(f"\nDone in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
