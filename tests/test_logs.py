"""Logs: one line for each thing that happened, and no secret in any of them."""

import json
import logging
import sys
from io import StringIO

import pytest
import structlog

from aggregator import logs
from aggregator.models import Role
from tests.builders import bearer, create, make_user
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
