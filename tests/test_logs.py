"""Logs: one line for each thing that happened, and no secret in any of them."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from secrets import token_hex

import psycopg2
import pytest
import sentry_sdk
import structlog
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sqlalchemy.exc import OperationalError

from aggregator import logs
from aggregator.models import Role
from aggregator.services import catalog_list, passwords
from tests.builders import bearer, create, make_user, sign_in
from tests.conftest import signed_in

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHBpcmVzIjoxfQ.c2lnbmF0dXJl"
SECRETS = ["hunter2", "0pAqUe.t0k3n+=", JWT]
log = structlog.get_logger("tests")


@pytest.fixture
def stream(monkeypatch) -> StringIO:
    """A standard error of our own."""
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.fixture(params=["json", "text"])
def written(request, stream):
    """What has been logged, in each of the forms."""
    logs.configure(request.param)
    return stream.getvalue


class TestForm:
    @pytest.fixture
    def lines(self, stream):
        logs.configure("json")
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    def test_json_is_one_object_a_line_with_the_facts_as_members(self, lines):
        log.info("product created", product_id="p1", ms=1.5)

        (line,) = lines()
        assert line.pop("ts").endswith("Z")
        assert line == {"level": "info", "logger": "tests", "event": "product created", "product_id": "p1", "ms": 1.5}

    @pytest.mark.parametrize("odd", ["half a \ud83d", 2**70, {1: "a"}, {"set"}, object, b"\xff"])
    def test_whatever_the_facts_are_there_is_a_line(self, lines, odd):
        log.info("odd", fact=odd)

        (line,) = lines()
        assert line["event"] == "odd"
        assert "fact" in line

    def test_libraries_log_in_the_same_form(self, lines):
        logging.getLogger("gunicorn.error").warning("worker %s died", 7)

        (line,) = lines()
        assert (line["level"], line["logger"], line["event"]) == ("warning", "gunicorn.error", "worker 7 died")

    def test_what_is_bound_to_a_request_is_in_every_line(self, lines):
        structlog.contextvars.bind_contextvars(request_id="r1")
        log.info("a")
        logging.getLogger("x").info("b")

        assert [line["request_id"] for line in lines()] == ["r1", "r1"]

    def test_a_line_stays_a_line_whatever_is_in_it(self, lines):
        log.info("a\nb", name='x\r\n{"level": "error"}\x1b[31m')

        (line,) = lines()
        assert line["name"] == 'x\r\n{"level": "error"}\x1b[31m'

    def test_an_exception_comes_with_its_traceback(self, lines):
        try:
            raise ValueError("no such luck")
        except ValueError:
            log.exception("failed")

        (line,) = lines()
        assert "ValueError: no such luck" in line["exception"]

    @pytest.mark.parametrize("name", ["alembic", "schedule", "urllib3"])
    def test_noisy_libraries_only_warn(self, lines, name):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")

        assert [line["event"] for line in lines()] == ["trouble"]

    def test_either_form_has_all_of_it(self, written):
        log.info("product created", product_id="p1")

        assert "product created" in written()
        assert "product_id" in written()
        assert "p1" in written()


class TestSecrets:
    @pytest.mark.parametrize(
        "key",
        [
            "authorization",
            "Authorization",
            "Bearer",
            "cookie",
            "Set-Cookie",
            "password",
            "password_hash",
            "secret",
            "SECRET_KEY",
            "token",
            "access_token",
            "refresh_token",
            "OFFERS_REFRESH_TOKEN",
            "api_key",
            "key",
        ],
    )
    def test_are_known_by_their_names(self, written, key):
        log.info("something", **{key: "hunter2"}, headers={key: "hunter2"}, deep={"a": {key: "hunter2"}})

        assert "hunter2" not in written()
        assert written().count("***") == 3

    @pytest.mark.parametrize("secret", SECRETS)
    @pytest.mark.parametrize(
        "form",
        [
            "Bearer: {}",
            "bearer={}",
            "Authorization: Bearer {}",
            "token: {}",
            "access_token={}&x=1",
            '{{"access_token": "{}"}}',
            "{{'refresh_token': '{}'}}",
            "password={}",
            "PASSWORD: {}",
            "postgresql://user:{}@db.example/shop",
            "smtp://user:{}@mail.example",
        ],
    )
    def test_are_known_by_what_stands_before_them(self, written, form, secret):
        text = form.format(secret)
        log.warning("failed", reason=text, nested={"reason": text})
        log.warning(text)
        logging.getLogger("library").warning("failed: %s", text)

        assert secret not in written()

    @pytest.mark.parametrize("form", ["{}", "x {} y", "got {}", "a,{}", "https://offers.example/?t={}"])
    def test_a_jwt_is_known_by_its_form_alone(self, written, form):
        log.info(form.format(JWT), body=form.format(JWT))

        text = written()
        assert JWT not in text
        assert "c2lnbmF0dXJl" not in text

    def test_in_the_words_of_an_exception_are_hidden_too(self, written):
        try:
            raise RuntimeError(f"refused: Bearer: {SECRETS[1]}, token={JWT}")
        except RuntimeError:
            log.exception("failed")
            logging.getLogger("library").exception("failed")

        text = written()
        assert "refused" in text
        assert SECRETS[1] not in text
        assert JWT not in text

    @pytest.mark.parametrize(
        "text",
        [
            'password: "plum tree, stone bridge"',
            "{'password': 'plum tree, stone bridge', 'name': 'ada'}",
            '{"new_password":"plum tree, stone bridge","name":"ada"}',
            r'{"password": "plum \" tree, stone bridge"}',
            'password=b"plum tree, stone bridge"',
            "password: 'plum tree, stone bridge",
            "password = plum tree stone bridge",
            "PASSWORD=plum tree stone bridge\nand another line",
            "{password: plum tree stone bridge}",
            "client_secret=plum tree stone bridge",
            "secrets_of_ada: plum tree stone bridge",
            '{"jwtSecretKey": "plum tree, stone bridge"}',
            "postgresql://ada:plum@tree@stone/bridge@db.example/shop",
            "redis://:plum:tree@stone@bridge@cache.example:6379/0",
            "at https://ada:plum/tree/stone/bridge@db.example",
            "$argon2id$v=19$m=19456,t=2,p=1$plum$treestonebridge",
            "a hash, $argon2i$v=19$m=8,t=1,p=1$plum/tree+stone$bridge, or not",
        ],
    )
    def test_are_hidden_to_their_ends(self, written, text):
        log.info("failed", reason=text)
        logging.getLogger("library").info("failed: %s", text)

        assert [word for word in ("plum", "tree", "stone", "bridge") if word in written()] == []

    def test_of_what_stands_around_one_something_is_left(self, written):
        log.info("a", reason="before, {'password': 'plum, tree', 'name': 'ada'}, postgresql://ada:plum@db.example/shop")

        text = written()
        for words in ("before", "ada", "@db.example/shop"):
            assert words in text
        assert "plum" not in text

    @pytest.mark.parametrize("text", ["secret" * 10_000, "://a:" * 10_000, "token" + " " * 50_000, 'token="' * 10_000])
    def test_a_text_that_is_made_to_hurt_takes_no_time(self, text):
        begun = time.perf_counter()
        logs.redacted(text)

        assert time.perf_counter() - begun < 1

    def test_in_lists_are_hidden_too(self, written):
        log.info("a", reasons=[f"token={JWT}"], pairs=({"password": "hunter2"},))

        text = written()
        assert JWT not in text
        assert "hunter2" not in text

    def test_in_objects_are_hidden_too(self, written):
        log.info("a", error=RuntimeError("password=hunter2"))

        assert "hunter2" not in written()

    def test_what_is_no_secret_stays(self, written):
        log.info("the token is refused", reason="another access token is still valid", keys=3, monkey="banana")

        text = written()
        for words in ("the token is refused", "another access token is still valid", "banana"):
            assert words in text


def test_a_creation_tells_the_log_no_token(make_app, sandbox, capsys):
    app = make_app(log_format="json")
    client = signed_in(app, make_user(app, Role.ADMIN))
    create(client)
    sandbox.forget_token()
    create(client)
    sandbox.faults = ["500@register"]
    create(client)
    refused = create(client, headers=bearer(JWT))

    text = capsys.readouterr().err
    assert refused.status_code == 401
    assert "access token renewed" in text
    assert "product not registered" in text
    assert sandbox.refresh_token not in text
    assert "eyJ" not in text


def test_who_comes_in_tells_the_log_no_password_and_no_token(make_app, capsys):
    client = make_app(log_format="json", logins_per_address=3).test_client()
    old, new, wrong = "plum-Tree-27", "stone-Bridge-81", "paper-Kite-54"

    def send(method: str, path: str, body: dict | None = None, token: str | None = None) -> dict:
        headers = bearer(token) if token else None
        return client.open(f"/api/v1/auth/{path}", method=method, json=body, headers=headers).json

    send("POST", "register", {"username": "ada", "email": "ada@example.com", "password": old})
    first = send("POST", "login", {"username": "ada", "password": old})
    second = send("POST", "refresh", token=first["refresh_token"])
    send("PATCH", "me", {"current_password": old, "password": new}, second["access_token"])
    send("POST", "login", {"username": "ada", "password": wrong})
    for _ in range(2):  # in the wrong field, and then once too often
        send("POST", "login", {"username": wrong, "password": "ada"})

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    answers = [(line["path"].rpartition("/")[2], line["status"]) for line in lines if line["event"] == "request"]
    assert answers[:4] == [("register", 201), ("login", 200), ("refresh", 200), ("me", 200)]
    assert answers[4:] == [("login", 401), ("login", 401), ("login", 429)]
    assert "limit reached" in {line["event"] for line in lines}
    tokens = [answer[name] for answer in (first, second) for name in ("access_token", "refresh_token")]
    signatures = [token.rpartition(".")[2] for token in tokens]
    for secret in (old, new, wrong, "eyJ", "$argon2", *signatures):
        assert secret not in json.dumps(lines)


class TestReports:
    """What Sentry gets to know: the real library sends it, though not far."""

    @pytest.fixture
    def sent(self) -> Iterator[Callable[[], str]]:
        """All that has been reported."""
        envelopes: list[Envelope] = []

        class Kept(Transport):
            def capture_envelope(self, envelope: Envelope) -> None:
                envelopes.append(envelope)

        logs.report_to("https://key@sentry.example/1", transport=Kept)
        yield lambda: b"\n".join(envelope.serialize() for envelope in envelopes).decode()
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)

    def test_a_mistake_of_ours_is_reported_without_what_the_request_brought(self, make_app, sent, monkeypatch):
        def fail(password: str) -> str:
            log.info("about to fail", reason=f"{{'password': '{password}'}}")
            raise ValueError(f"cannot hash the password: {password}, of postgresql://ada:{linked}@db.example/shop")

        # Not to be found in the lines of code that are reported, too.
        old, new, body, cookie = (token_hex(8) for _ in range(4))
        linked = f"{token_hex(8)}@{token_hex(8)}"
        app = make_app()
        user = make_user(app, password_hash=passwords.hashed(old))
        monkeypatch.setattr(passwords, "hashed", fail)
        tokens = sign_in(app, user)

        answer = app.test_client().patch(
            "/api/v1/auth/me",
            json={"current_password": old, "password": new, "email": f"{body}@example.com"},
            headers=bearer(tokens["access_token"]) | {"Cookie": f"session={cookie}"},
        )

        text = sent()
        assert answer.status_code == 500
        for words in ("ValueError", "cannot hash the password", "about to fail", "/api/v1/auth/me"):
            assert words in text
        signatures = [tokens[name].rpartition(".")[2] for name in ("access_token", "refresh_token")]
        for secret in (old, new, body, cookie, *linked.split("@"), "eyJ", "$argon2", *signatures):
            assert secret not in text

    def test_trouble_with_the_database_is_reported_without_what_it_says_of_rows(self, make_app, sent, monkeypatch):
        def fail(*_: object, **__: object) -> None:
            reason = f"postgresql://ada:{linked}@db.example/shop is gone, token={JWT}\nFailing row contains ({row})."
            raise OperationalError("SELECT 1", {"password": parameter}, psycopg2.OperationalError(reason))

        linked, row, parameter = token_hex(8), token_hex(8), token_hex(8)
        client = make_app().test_client()
        monkeypatch.setattr(catalog_list, "page", fail)

        answer = client.get("/api/v1/products", headers=bearer(JWT))

        text = sent()
        assert answer.status_code == 503
        for words in ("outage begins", "the connection was cut off", "db.example/shop is gone"):
            assert words in text
        for secret in (linked, row, parameter, "eyJ", JWT.rpartition(".")[2]):
            assert secret not in text

    def test_what_is_no_secret_is_reported_as_it_is(self, sent):
        logs.configure("json")
        log.error("something failed", product_id="p1", attempts=3)

        text = sent()
        for words in ("something failed", "product_id", "p1", "attempts"):
            assert words in text
