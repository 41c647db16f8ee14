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

import requests

from aggregator.cli.children import Children, Stopped, StopSignals, end_with_parent, shown
from aggregator.cli.movements import Movements
from aggregator.clock import utcnow
from aggregator.config import from_environment, load_dotenv
from aggregator.errors import UsageError
from aggregator.sandbox import DEFAULT_REFRESH_TOKEN
from aggregator.services import samples

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
EX_CONFIG = 78
PORTS = {"PORT": 8000, "SANDBOX_PORT": 8001}
PRODUCTS = 12
ADMIN, ADDRESS = "demo-admin", "demo-admin@example.com"
PAST_DAYS = 30
MOVE_SECONDS = 15  # between two prices, and between two looks at them
LOOK_SECONDS = 5.0  # between two looks at what to print
READY_SECONDS = 30.0
OFFERS_SECONDS = 15.0

WELCOME = """
  The Product Aggregator is running with {products} products and {offers} offers.
  Their prices move every {seconds} seconds, and have a past of {days} days.

    Documentation   {url}/docs  and  {url}/redoc
    Products        {url}/api/v1/products
    Health          {url}/status
    Logs            {logs}/web.log, worker.log, sandbox.log

  To try, the offers of the {name}:

    curl {url}/api/v1/products/{id}/offers

{writing}
  Ctrl-C stops everything; the next `make run` goes on from there. What moves:
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
    """Run it all until SIGINT or SIGTERM (exit code 0), or until something goes wrong (1; 78 for settings)."""
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
        own_database = not os.environ.get("DATABASE_URL")
        settings, logs = environment(directory, ports), directory / "logs"
        if wrong := wrong_settings(settings):
            print(wrong, file=sys.stderr)
            return EX_CONFIG
        with alone_in(directory), Children(ROOT, settings, logs, signals) as children:
            _play(children, ports, own_database)
    except Stopped:
        print("Everything is stopped.")
    except UsageError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


def wrong_settings(settings: Mapping[str, str]) -> str | None:
    """What is wrong with what the processes will get to read, so that none of them is started in vain."""
    os.environ.update(settings)
    try:
        from_environment()
    except UsageError as error:
        return error.detail
    return None


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
    """Start everything, say where it is, watch over it, and report what moves."""
    url = f"http://{HOST}:{ports['PORT']}"
    print("Starting the sandbox, the web and the worker ...", flush=True)
    sandbox = (f"--port={ports['SANDBOX_PORT']}", f"--tick={MOVE_SECONDS}", "--lively")
    children.start("sandbox", "-m", "aggregator.sandbox", *sandbox)
    children.run("migrate", "-m", "flask", "--app", "wsgi", "db", "upgrade")
    past = (f"--past-days={PAST_DAYS}", f"--tick={MOVE_SECONDS}")
    children.run("products", "-m", "flask", "--app", "wsgi", "products", "add-samples", str(PRODUCTS), *past)
    children.start("web", "-m", "gunicorn", "--graceful-timeout=2", "wsgi:app", patience=3.0)
    children.start("worker", "worker.py", patience=5.0)
    password = _make_admin(children) if own_database else None
    with requests.Session() as session:
        session.trust_env = False  # no proxy leads to this machine
        try:
            movements = _welcome(children, session, url, password)
        except requests.RequestException as error:
            children.watch(0.5)  # most likely the web process has ended, and that is the news
            raise UsageError(f"{url} does not answer: {error}.") from None
        while True:
            children.wait_for(lambda: False, LOOK_SECONDS)
            for line in movements.look(utcnow()):
                print(line, flush=True)


def _welcome(children: Children, session: requests.Session, url: str, password: str | None) -> Movements:
    """Say where everything is, once the products have their first offers."""
    _wait_until_ready(children, session, f"{url}/readyz")
    ids = [str(product["id"]) for product in samples.products(PRODUCTS)]
    products = _with_offers(children, session, f"{url}/api/v1/products", ids)
    movements = Movements(session, f"{url}/api/v1", products, os.environ.get("CURRENCY") or "EUR")
    print(_banner(url, products, children.logs, password), flush=True)
    if password is not None and products:
        _sign_in(session, f"{url}/api/v1/auth/login", password)
        movements.watch_for(products[0]["id"])
    return movements


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


def _with_offers(children: Children, session: requests.Session, url: str, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The products as they are when all have had their first offers, or when that takes too long."""
    products: list[dict[str, Any]] = []

    def complete() -> bool:
        answers = [session.get(f"{url}/{product_id}", timeout=5) for product_id in ids]
        products[:] = [answer.json() for answer in answers if answer.ok]  # somebody may have deleted some
        return all(product["offers_synced_at"] for product in products)

    children.wait_for(complete, OFFERS_SECONDS)
    return products


def _banner(url: str, products: Sequence[dict[str, Any]], logs: Path, password: str | None) -> str:
    example = max(products, key=lambda product: product["offer_count"], default={"name": "(none is left)", "id": "ID"})
    writing = NO_ADMIN if password is None else SIGN_IN.format(url=url, admin=ADMIN, password=password)
    return WELCOME.format(
        url=url,
        products=len(products),
        offers=sum(product["offer_count"] for product in products),
        seconds=MOVE_SECONDS,
        days=PAST_DAYS,
        logs=shown(logs),
        name=example["name"],
        id=example["id"],
        writing=writing,
    )


if __name__ == "__main__":
    sys.exit(main())
