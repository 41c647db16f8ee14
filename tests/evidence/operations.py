"""Settings, and what is said when something outside does not work."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
from sqlalchemy.engine import make_url

from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Stack

POSTGRESQL = ("postgresql",)


def administer(stack: Stack, *statements: str) -> None:
    """Run statements as an administrator, and end all connections to the stack's database."""
    url = make_url(stack.env["DATABASE_URL"])
    connection = psycopg2.connect(host=url.query["host"], user="postgres", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(name=url.database))
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
    connection.close()


@check("B5", "A monitor sees a problem by the status code, and jobs by their exit code")
def strict_status(stack: Stack) -> Facts:
    with stack.web() as shop:
        relaxed, strict = (shop.get(f"//status{query}") for query in ("", "?strict=true"))
    yield Fact("status without a worker", (relaxed.status_code, strict.status_code), (200, 503))
    done = stack.flask("jobs", "run", "audit", DATABASE_URL="postgresql://app@127.0.0.1:9/shop")
    yield Fact("exit code of a job whose database is down", done.returncode, 75)
    yield Fact("tracebacks", "Traceback" in done.stderr, False)


@check("D12", "A database that can only be read answers reads, and says what is wrong", POSTGRESQL)
def read_only(stack: Stack) -> Facts:
    with stack.web() as shop, stack.worker() as worker:
        shop.add_product("Lamp")
        administer(stack, "ALTER DATABASE {name} SET default_transaction_read_only = on")
        within(20, lambda: shop.get("/products").status_code == 200)
        refused = [shop.post("/products", json={"name": "Chair", "description": ""}) for _ in range(5)]
        reads = [shop.get("/products"), shop.get("//readyz"), shop.get("//status")]
        began = within(30, lambda: "outage begins" in worker.said)
        administer(stack, "ALTER DATABASE {name} RESET default_transaction_read_only")
        mended = within(30, lambda: shop.post("/products", json={"name": "Sofa", "description": ""}).status_code == 201)
        ended = within(30, lambda: "outage ends" in worker.said)
    yield Fact("writes", {(one.status_code, "Retry-After" in one.headers) for one in refused}, {(503, True)})
    yield Fact("reads", [one.status_code for one in reads], [200, 200, 200])
    yield Fact("/readyz says it", "it is read-only" in reads[1].json().get("reason", ""))
    yield Fact("web and worker recover", (bool(began), bool(mended), bool(ended)), (True, True, True))
    logs = stack.logged("web") + stack.logged("worker")
    yield Fact("lines of the web when writing breaks", stack.logged("web").count("writing to the database"), 2)
    yield Fact("tracebacks", logs.count("Traceback"), 0)


@check("H25", "A server with no connection left is waited for", POSTGRESQL)
def no_connection_left(stack: Stack) -> Facts:
    rights = "GRANT pg_write_all_data, pg_read_all_data TO small"
    administer(stack, "CREATE ROLE small LOGIN CONNECTION LIMIT 3", rights)
    with stack.web(workers=2, DATABASE_URL=stack.env["DATABASE_URL"].replace("postgres@", "small@")) as shop:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda _: shop.get("/products").status_code, range(60)))
        problems = shop.status()["problems"]
    yield Fact("answers of two processes that want eight connections", set(answers), {200})
    yield Fact("named in /status", any("too many connections" in problem for problem in problems))
    administer(stack, "DROP ROLE small")


@check("H26", "Each trouble with the database has its words and its exit code")
def words(stack: Stack) -> Facts:
    cases = {
        "postgresql://app:hunter2@db.invalid/shop": ("the name of the host is not known. Check DATABASE_URL.", 78),
        "postgresql://app:pw@127.0.0.1:9/shop": (
            "connection refused. Check that the server runs, and DATABASE_URL.",
            75,
        ),
    }
    for url, (ending, code) in cases.items():
        for command in (("-m", "flask", "--app", "wsgi", "db", "current"), ("worker.py", "--check")):
            done = stack.run(*command, DATABASE_URL=url)
            last = (done.stderr.strip().splitlines() or [""])[-1]
            yield Fact(f"{command[-1]} with {url}", (last.endswith(ending), done.returncode), (True, code))
            yield Fact("no password, no traceback", "hunter2" in done.stderr or "Traceback" in done.stderr, False)


@check("H27", "A setting that cannot work is named at the start")
def settings(stack: Stack) -> Facts:
    wrong = {
        "DATABASE_URL": ["postgresql+psycopg://u@h/db", "sqlite://agg.db", "postgres://u@h/db?schema=public"],
        "OFFERS_BASE_URL": ["http://offers.example.com/?x=1", "http://offers.example.com:99999"],
        "PORT": ["eighty", "8_000"],
        "SENTRY_DSN": ["sentry"],
    }
    for name, values in wrong.items():
        for value in values:
            done = stack.run("worker.py", **{name: value})
            yield Fact(f"{name}={value}", (done.returncode, f"  {name}: " in done.stderr), (78, True))
    done = stack.flask("jobs", "list", OFFERS_BASE_URL="http://offers_service:8001")
    yield Fact("a host with an underscore", done.returncode, 0)
    served = stack.run("web.py", WEB_CONCURRENCY="two", WEB_THREADS="many")
    yield Fact("how the web serves", (served.returncode, served.stderr.count("\n  WEB_")), (78, 2))


@check("H29", "A command that writes names its database")
def named(stack: Stack) -> Facts:
    done = stack.flask("products", "add-samples", "1")
    url = make_url(stack.env["DATABASE_URL"])
    first = done.stderr.splitlines()[0]
    yield Fact("first line", first.startswith(f"Database: {stack.backend}://") and str(url.database) in first)
    with stack.web() as shop:
        product = shop.get("/products").json()[0]["id"]
    printed = stack.flask("offers", "sync", "--product", product).stdout
    yield Fact("synced", "synced: 1" in printed or "registered: 1" in printed)
    insights = stack.flask("offers", "insights", product, CURRENCY="JPY").stdout.splitlines()[0]
    yield Fact("a price in yen", insights, lambda line: line.endswith(" JPY") and "." not in line)
