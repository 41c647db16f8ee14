"""Secrets in the database: what a dump shows, and what a change of SECRET_KEY does."""

import sqlalchemy as sa
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from aggregator.config import normalized_database_url
from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Shop, Stack
from tests.wire import Heard, Wire, http, says, wire

OLD = {"SECRET_KEY": "the key of before 9f2c7a1e55d04b68", "WEBHOOK_TEST_HOSTS": "127.0.0.1"}
NEW = OLD | {"SECRET_KEY": "the key from now on 03be8d6f4471ca92"}
BOTH = NEW | {"SECRET_KEY_FALLBACKS": OLD["SECRET_KEY"]}
PLAIN = "whsec_" + "b2Yb" * 10
LOST = "webhooks whose secret cannot be read"
OK = says(http(204, b"", length=-1))


@check("J39", "The secrets of webhooks and the offers token are encrypted at rest, and SECRET_KEY can be rotated")
def encrypted(stack: Stack) -> Facts:
    with wire(OK) as receiver:
        with stack.web(**OLD) as shop, stack.worker(**OLD):
            webhook = shop.post("/webhooks", json={"url": receiver.url, "events": ["product.created"]}).json()
            secrets = [webhook["secret"]]
            secrets.append(shop.post(f"/webhooks/{webhook['id']}/rotate-secret").json()["secret"])
            product = shop.add_product("Lamp")
            within(30, lambda: shop.get(f"/products/{product}").json()["offer_count"])
            yield Fact("old and new secret verify what was sent", verified(receiver, 1, *secrets))
        dump = "\n".join(texts(stack))
        shown = [secret for secret in (*secrets, "eyJ") if secret.removeprefix("whsec_") in dump]
        yield Fact("plain secrets in all columns of all tables", shown, [])
        execute(stack, "UPDATE webhooks SET secret = :plain", plain=PLAIN)  # as a version of before has it
        rotated = [stack.flask("secrets", "rotate", **env) for env in (NEW, BOTH, NEW)]
        yield Fact(
            "exit codes of rotate without and with the former key, and then",
            [result.returncode for result in rotated],
            [1, 0, 0],
        )
        said = [int(result.stdout.rpartition(":")[2]) for result in rotated]
        yield Fact("secrets that each of them encrypted", said, [1, 2, 0])
        yield Fact("plain secrets of before in the database", PLAIN in "\n".join(texts(stack)), False)
        with stack.web(**NEW) as shop, stack.worker(**NEW):
            shop.post(f"/webhooks/{webhook['id']}/test")
            yield Fact("with the new key alone, both secrets verify", verified(receiver, 2, PLAIN, secrets[0]))
        yield from lost(stack, receiver, webhook["id"])


def lost(stack: Stack, receiver: Wire, webhook_id: str) -> Facts:
    """What happens where the key is neither the current one nor a former one."""
    with stack.web(**OLD) as shop, stack.worker(**OLD):
        delivery = shop.post(f"/webhooks/{webhook_id}/test").json()["id"]
        path = f"/webhooks/{webhook_id}/deliveries/{delivery}"
        within(30, lambda: shop.get(path).json()["error"])
        shown = shop.get(path).json()
        yield Fact("status of a delivery without the key", shown["status"], "pending")
        yield Fact("its error names the way out", "rotate it" in (shown["error"] or ""))
        yield Fact("messages that arrived meanwhile", len(receiver.heard), 2)
        yield Fact("/status names it", any(LOST in problem for problem in problems(shop)))
        secret = shop.post(f"/webhooks/{webhook_id}/rotate-secret").json()["secret"]
        yield Fact("after a rotation the message arrives and verifies", verified(receiver, 3, secret))
    yield Fact("tracebacks", "Traceback" in stack.logged("worker") + stack.logged("web"), False)


def verified(receiver: Wire, count: int, *secrets: str) -> bool:
    """Whether a message of that number arrives, and each of the secrets verifies it."""
    within(40, lambda: len(receiver.heard) >= count)
    return len(receiver.heard) >= count and all(verifies(receiver.heard[count - 1], secret) for secret in secrets)


def verifies(heard: Heard, secret: str) -> bool:
    try:
        return bool(Verifier(secret).verify(heard.body, heard.headers))
    except WebhookVerificationError:
        return False


def texts(stack: Stack) -> list[str]:
    """All values of all columns of all tables, as text."""
    engine = engine_of(stack)
    tables = sa.inspect(engine).get_table_names()
    with engine.connect() as connection:
        rows = [row for table in tables for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]
    return [str(value) for row in rows for value in row]


def execute(stack: Stack, statement: str, **values: str) -> None:
    with engine_of(stack).begin() as connection:
        connection.execute(sa.text(statement), values)


def engine_of(stack: Stack) -> sa.Engine:
    return sa.create_engine(normalized_database_url(stack.env["DATABASE_URL"]), poolclass=sa.NullPool)


def problems(shop: Shop) -> list[str]:
    """What /status says is wrong, when what it keeps for some seconds is out of date."""
    within(10, lambda: any(LOST in problem for problem in shop.status()["problems"]), 0.5)
    return list(shop.status()["problems"])
