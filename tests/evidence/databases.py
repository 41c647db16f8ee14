"""PostgreSQL as people have it, and answers that are the same on every database."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import requests

from aggregator.config import normalized_database_url
from tests.databases import Cluster
from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Shop, Stack
from tests.pgbouncer import OPTIONS_IGNORED, PoolerUnavailable, pgbouncer
from tests.postgres import postgres, standby_of

NAMES = ["Banana", "apple", "Éclair", "eclair", "Zebra", "Ägypten", "co-op", "coop", "_x"]
ORDERED = ["Ägypten", "apple", "Banana", "co-op", "coop", "eclair", "Éclair", "_x", "Zebra"]
RATINGS = [0.30000000000000004, 0.3333333333333333, 4.999999999999999]
SEARCHED = {
    "Rødvin": "rodvin",
    "Łódź lamp": "lodz",
    "Đuro": "duro",
    "Œuvre": "oeuvre",
    "K\u0131l\u0131ç": "kilic",
    "Fern\u00adseher": "fernseher",
    "Fern\u200bseher": "fernseher",
}


@check("D11", "Everything works through pgbouncer in transaction mode", backends=("postgresql",))
def pooled(stack: Stack) -> Facts:
    direct = normalized_database_url(stack.env["DATABASE_URL"])
    for mode, settings in (("options refused", []), ("options ignored", [OPTIONS_IGNORED])):
        try:
            with pgbouncer(direct, *settings) as pooler:
                url = pooler(str(direct.database)).render_as_string(hide_password=False)
                yield from _through(stack, mode, url)
        except PoolerUnavailable as error:
            yield Fact(f"{mode}: skipped, {error}", True)


def _through(stack: Stack, mode: str, url: str) -> Facts:
    migrated = stack.flask("db", "upgrade", DATABASE_URL=url)
    yield Fact(f"{mode}: exit code of db upgrade", migrated.returncode, 0)
    with stack.web(2, DATABASE_URL=url) as shop, stack.worker(DATABASE_URL=url):
        ids = [shop.add_product(f"{mode} {number}") for number in range(5)]
        paths = [f"/products/{id_}" for id_ in ids] + ["/products?page_size=5", "/products?q=options&sort=name"]
        with ThreadPoolExecutor(8) as threads:
            seen = set(threads.map(lambda path: shop.get(path).status_code, paths * 20))
        offers = within(30, lambda: all(shop.get(f"/products/{id_}").json()["offer_count"] for id_ in ids))
    yield Fact(f"{mode}: statuses of 140 reads", seen, {200})
    yield Fact(f"{mode}: the worker brought offers", offers)
    yield Fact(f"{mode}: exit code of audit", stack.flask("audit", DATABASE_URL=url).returncode, 0)


@check("D13", "Names have one order, and brands one way to be equal")
def order(stack: Stack) -> Facts:
    with stack.web() as shop:
        for name in NAMES:
            shop.add_product(name, brand="Ärzte")
        yield Fact("products by name", _names(shop, "/products?sort=name&page_size=100"), ORDERED)
        yield Fact("of a brand in capitals", _names(shop, "/products?sort=name&brand=ÄRZTE"), ORDERED)
        for name in NAMES:
            shop.post("/categories", json={"name": name, "slug": f"c{NAMES.index(name)}"})
        yield Fact("categories by name", _names(shop, "/categories?page_size=100"), ORDERED)


@check("D14", "Numbers with fractions come back as they were")
def fractions(stack: Stack) -> Facts:
    with stack.web() as shop:
        for rating in RATINGS:
            shop.add_product(f"Rated {rating!r}", rating=rating)
        shown = [product["rating"] for product in shop.get("/products?sort=created_at").json()]
        exported = shop.get("/products/export?format=jsonl").content
        imported = shop.post("/products/import", data=exported, headers={"Content-Type": "application/x-ndjson"}).json()
    yield Fact("ratings shown", shown, RATINGS)
    yield Fact(
        "ratings exported", sorted(json.loads(line)["rating"] for line in exported.splitlines()), sorted(RATINGS)
    )
    yield Fact("unchanged by the import of the export", imported["unchanged"], len(RATINGS))


@check("F19", "Search finds letters that few keyboards have, and words with something in them that is not seen")
def letters(stack: Stack) -> Facts:
    with stack.web() as shop:
        for name in SEARCHED:
            shop.add_product(name)
        for name, asked in SEARCHED.items():
            yield Fact(f"{asked} finds {name!r}", name in _names(shop, f"/products?q={asked}"))


@check("J36", "A standby answers with what it has, and not with what it had", backends=("postgresql",))
def standby(stack: Stack) -> Facts:
    with postgres() as primary:
        url = Cluster(primary.url).create("shop").render_as_string(hide_password=False)
        stack = replace(stack, env={**stack.env, "DATABASE_URL": url})
        stack.flask("db", "upgrade")
        with standby_of(primary) as follower, stack.web() as shop:
            product = shop.add_product("old")
            there = normalized_database_url(follower.url("shop")).render_as_string(hide_password=False)
            with stack.web(ready=False, DATABASE_URL=there) as mirror:
                address = f"/products/{product}"
                shown = within(40, lambda: _name(mirror, address))
                shop.patch(address, json={"name": "new"})
                now_shown = within(5, lambda: _name(mirror, address) == "new")
    yield Fact("name before", shown, "old")
    yield Fact("the name is the new one within seconds", now_shown)


def _names(shop: Shop, path: str) -> list[str]:
    return [each["name"] for each in shop.get(path).json()]


def _name(shop: Shop, path: str) -> str:
    try:
        answer = shop.get(path)
    except requests.ConnectionError:
        return ""
    return str(answer.json()["name"]) if answer.status_code == 200 else ""
