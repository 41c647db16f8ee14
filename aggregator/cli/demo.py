"""`make run`, that is `python -m aggregator.cli.demo`: sandbox, web and worker with some products, until Ctrl-C."""

import argparse
import fcntl
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import requests

from aggregator.cli.children import Children, Stopped, StopSignals, end_with_parent, shown
from aggregator.config import load_dotenv
from aggregator.errors import UsageError
from aggregator.flows.samples import picture
from aggregator.sandbox import DEFAULT_REFRESH_TOKEN
from aggregator.services import samples
from aggregator.services.categories import slug_of

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
PORTS = {"PORT": 8000, "SANDBOX_PORT": 8001}
PRODUCTS = 12
ADMIN, ADDRESS = "demo-admin", "demo-admin@example.com"
MOVE_SECONDS = 15  # between two prices, and between two looks at them
READY_SECONDS = 30.0
OFFERS_SECONDS = 15.0

WELCOME = """
  The Product Aggregator is running with {products} products and {offers} offers.
  Their prices move every {seconds} seconds.

    Documentation   {url}/docs  and  {url}/redoc
    Products        {url}/api/v1/products
    Health          {url}/status
    Logs            {logs}/web.log, worker.log, sandbox.log

  To try, the offers of the {name}:

    curl {url}/api/v1/products/{id}/offers

{writing}
  Ctrl-C stops everything; the next `make run` goes on from there.
"""

SIGN_IN = """\
  To write, sign in as the admin that this run made; the access token lasts five minutes:

    curl {url}/api/v1/auth/login -H 'Content-Type: application/json' \\
      -d '{{"username": "{admin}", "password": "{password}"}}'
"""
NO_ADMIN = """\
  The database is the one that DATABASE_URL names, so this run has made no admin in it, and changed none.
  To write, sign in as one of yours; `flask --app wsgi users create-admin` makes one.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it all until SIGINT or SIGTERM (exit code 0), or until something goes wrong (1)."""
    parser = argparse.ArgumentParser(prog="python -m aggregator.cli.demo", description=__doc__)
    parser.add_argument("directory", nargs="?", default="instance", help="for the database and the logs")
    directory = ROOT / parser.parse_args(arguments).directory
    signals = StopSignals()
    if "MAKELEVEL" in os.environ:
        end_with_parent()  # a make that is killed cannot hand a signal on
    try:
        load_dotenv()
        ports = {name: free_port(name) for name in PORTS}
        if len(set(ports.values())) < len(ports):
            raise UsageError(f"{' and '.join(ports)} must differ.")
        settings, logs = environment(directory, ports), directory / "logs"
        with alone_in(directory), Children(ROOT, settings, logs, signals) as children:
            _play(children, ports, own_database=not os.environ.get("DATABASE_URL"))
    except Stopped:
        print("Everything is stopped.")
    except UsageError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


def free_port(name: str) -> int:
    """The port that the setting name says, if nobody else listens there."""
    text = os.environ.get(name) or str(PORTS[name])
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise UsageError(f"{name} must be a number from 1 to 65535, not {text!r}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise UsageError(
                f"Port {text} cannot be used ({error.strerror}), perhaps because of another `make run`: "
                f"stop what uses it, or choose another one with `make run {name}={PORTS[name] + 100}`."
            ) from None
    return int(text)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep a second demo out of directory, and off its database and logs."""
    try:
        (directory / "logs").mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{directory} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"Another `make run` is using {shown(directory)}; stop it first.") from None
    finally:
        os.close(lock)


def environment(directory: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What the processes get to read: what we were given, made to fit this machine and the sandbox."""
    unless_given = {
        "DATABASE_URL": f"sqlite:///{directory / 'demo.db'}",
        "SYNC_INTERVAL_SECONDS": str(MOVE_SECONDS),
    }
    # Options for another gunicorn could move this one elsewhere.
    given = {name: value for name, value in os.environ.items() if value and name != "GUNICORN_CMD_ARGS"}
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY"), HOST]))
    always = {
        "APP_ENV": "development",
        "HOST": HOST,
        "PORT": str(ports["PORT"]),
        "OFFERS_BASE_URL": f"http://{HOST}:{ports['SANDBOX_PORT']}",
        "OFFERS_REFRESH_TOKEN": DEFAULT_REFRESH_TOKEN,
        "OFFERS_ACCESS_TOKEN": "",  # set, so that none comes out of .env later
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }
    return unless_given | given | always


def _play(children: Children, ports: Mapping[str, int], own_database: bool) -> None:
    """Start everything, tell about it, and watch over it."""
    url = f"http://{HOST}:{ports['PORT']}"
    print("Starting the sandbox, the web and the worker ...", flush=True)
    children.start("sandbox", "-m", "aggregator.sandbox", f"--port={ports['SANDBOX_PORT']}", f"--tick={MOVE_SECONDS}")
    children.run("migrate", "-m", "flask", "--app", "wsgi", "db", "upgrade")
    children.start("web", "-m", "gunicorn", "--graceful-timeout=2", "wsgi:app", patience=3.0)
    children.start("worker", "worker.py", patience=5.0)
    try:
        password = _make_admin(children) if own_database else None
        products = _fill(children, url, password)
    except requests.RequestException as error:
        children.watch(0.5)  # most likely the web process has ended, and that is the news
        raise UsageError(f"{url} does not answer: {error}.") from None
    print(_welcome(url, products, children.logs, password), flush=True)
    while True:
        children.watch(0.25)


def _make_admin(children: Children) -> str:
    """The password of the demo's admin: another one at each run, and written down nowhere."""
    password = secrets.token_urlsafe(12)
    users = ("-m", "flask", "--app", "wsgi", "users")
    try:
        options = (f"--username={ADMIN}", f"--email={ADDRESS}", "--password-stdin")
        children.run("admin", *users, "create-admin", *options, given=password)
    except UsageError:  # it is there from the last time
        children.run("admin", *users, "set-password", ADMIN, "--password-stdin", given=password)
        children.run("admin", *users, "set-role", ADMIN, "admin")
        children.run("admin", *users, "activate", ADMIN)
    return password


def _fill(children: Children, url: str, password: str | None) -> list[dict[str, Any]]:
    """The sample products, added by the admin, or else by hand, and with their offers."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        _wait_until_ready(children, session, f"{url}/readyz")
        if password is None:
            children.run("products", "-m", "flask", "--app", "wsgi", "products", "add-samples", str(PRODUCTS))
            ids = [str(product["id"]) for product in samples.products(PRODUCTS)]
        else:
            _sign_in(session, f"{url}/api/v1/auth/login", password)
            categories = _add_categories(session, f"{url}/api/v1/categories")
            ids = _add_products(children, session, f"{url}/api/v1/products", categories)
        return _with_offers(children, session, f"{url}/api/v1/products", ids)


def _wait_until_ready(children: Children, session: requests.Session, url: str) -> None:
    def ready() -> bool:
        with suppress(requests.RequestException):
            return session.get(url, timeout=2).ok
        return False

    if not children.wait_for(ready, READY_SECONDS):
        raise UsageError(f"{url} was not ready within {READY_SECONDS:.0f} seconds; see {shown(children.logs)}/web.log.")


def _sign_in(session: requests.Session, url: str, password: str) -> None:
    answer = session.post(url, json={"username": ADMIN, "password": password}, timeout=15)
    if not answer.ok:
        raise UsageError(f"{ADMIN} cannot sign in, {answer.status_code}: {answer.text}")
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _add_categories(session: requests.Session, url: str) -> dict[str, UUID]:
    """The ids of the categories that the sample products are in, by their slugs."""
    ids: dict[str, UUID] = {}
    for name, parent in samples.CATEGORIES:
        slug = slug_of(name)
        known = session.get(url, params={"slug": slug}, timeout=15).json()
        fields = {"name": name, "slug": slug, "parent_id": str(ids[parent]) if parent else None}
        category = known[0] if known else session.post(url, json=fields, timeout=15).json()
        ids[slug] = UUID(category["id"])
    return ids


def _add_products(children: Children, session: requests.Session, url: str, categories: dict[str, UUID]) -> list[str]:
    """The ids of the sample products; those that were added the last time are not added again."""
    ids = []
    for number, product in enumerate(samples.products(PRODUCTS, categories=categories)):
        product_id = str(product["id"])
        headers = {"Idempotency-Key": f"sample-{product_id}"}
        fields = {**product, "id": product_id, "category_id": str(product["category_id"])}
        answer = session.post(url, json=fields, headers=headers, timeout=15)
        if answer.status_code not in (201, 409):
            raise UsageError(f"A sample product was refused with {answer.status_code}: {answer.text}")
        _add_picture(session, f"{url}/{product_id}/images", number)
        ids.append(product_id)
        children.watch(0)
    return ids


def _add_picture(session: requests.Session, url: str, number: int) -> None:
    """Give a sample product a picture, unless it has one, or has been deleted."""
    if session.get(url, timeout=15).json() == []:
        session.post(url, files={"image": ("picture.jpg", picture(number), "image/jpeg")}, timeout=15)


def _with_offers(children: Children, session: requests.Session, url: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The products as they are when all have had their first offers, or when that takes too long."""
    products: list[dict[str, Any]] = []

    def complete() -> bool:
        answers = [session.get(f"{url}/{product_id}", timeout=5) for product_id in ids]
        products[:] = [answer.json() for answer in answers if answer.ok]  # somebody may have deleted some
        return all(product["offers_synced_at"] for product in products)

    children.wait_for(complete, OFFERS_SECONDS)
    return products


def _welcome(url: str, products: Sequence[dict[str, Any]], logs: Path, password: str | None) -> str:
    example = max(products, key=lambda product: product["offer_count"], default={"name": "(none is left)", "id": "ID"})
    writing = NO_ADMIN if password is None else SIGN_IN.format(url=url, admin=ADMIN, password=password)
    return WELCOME.format(
        url=url,
        products=len(products),
        offers=sum(product["offer_count"] for product in products),
        seconds=MOVE_SECONDS,
        logs=shown(logs),
        name=example["name"],
        id=example["id"],
        writing=writing,
    )


if __name__ == "__main__":
    sys.exit(main())
