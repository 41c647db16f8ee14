"""Guessing passwords: however many try at once, from wherever they say they are, few tries are ever checked."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask

from aggregator.flows import accounts
from aggregator.models import User
from aggregator.services import passwords
from aggregator.services.passwords import hashed
from tests.builders import make_user, sign_in, stored
from tests.scenarios.processes import answers, environment, eventually, web
from tests.security.operations import PASSWORD, send
from tests.security.tokens import resigned

LOGIN = "/api/v1/auth/login"
THREADS = 32
PER_ADDRESS, PER_ACCOUNT, REGISTRATIONS = 30, 10, 20  # what an app allows that is not told otherwise
ANYWHERE = 10 * PER_ACCOUNT
GOOD, WRONG, TOO_MANY = 200, 401, 429
OWNERS, STRANGERS = "192.0.2.77", "198.51.100.66"


def in_parallel(count: int, one: Callable[[int], int]) -> Counter[int]:
    """The statuses of so many requests, all at once."""
    with ThreadPoolExecutor(THREADS) as threads:
        return Counter(threads.map(one, range(count)))


def login(app: Flask, name: str, address: str = "192.0.2.1", password: str = "wrong", **headers: str) -> int:
    """The status of a try to sign in, from an address."""
    options = {"json": {"username": name, "password": password}, "environ_overrides": {"REMOTE_ADDR": address}}
    return send(app.test_client(), "POST", LOGIN, headers=headers, **options).status_code


def spoofed(number: int) -> dict[str, str]:
    """Headers that claim that a request comes from somewhere else."""
    address = f"198.51.100.{number % 250}"
    names = ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP", "True-Client-IP", "Fastly-Client-IP")
    return dict.fromkeys(names, address) | {"Forwarded": f"for={address}", "X-Forwarded-Host": f"host-{number}"}


@pytest.fixture
def name(app) -> str:
    make_user(app, username="somebody", email="somebody@example.com", password_hash=hashed(PASSWORD))
    return "somebody"


@pytest.fixture(autouse=True)
def _everybody_waits_for_a_turn(monkeypatch):
    """On a busy machine, a hundred passwords take longer to check than one of them may wait."""
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 120.0)


@pytest.fixture
def slow_app(monkeypatch, make_app):
    """An app that lets through one try of many for as long as a test takes."""
    monkeypatch.setattr(accounts, "SLOW_SECONDS", 3600.0)
    return make_app()


def tokens(app: Flask, name: str, address: str = OWNERS) -> dict[str, Any]:
    """What a login answers with, from an address."""
    options = {"json": {"username": name, "password": PASSWORD}, "environ_overrides": {"REMOTE_ADDR": address}}
    return send(app.test_client(), "POST", LOGIN, **options).json


class TestOwners:
    """What strangers try at somebody's account does not keep them out of it."""

    def test_come_in_from_another_network(self, app, name):
        assert [login(app, name, STRANGERS) for _ in range(PER_ACCOUNT + 1)][-1] == TOO_MANY

        assert login(app, name, OWNERS, PASSWORD) == GOOD

    def test_come_in_from_where_they_have_been_before_however_many_try_elsewhere(self, slow_app, name):
        tokens(slow_app, name)
        in_parallel(ANYWHERE + 10, lambda number: login(slow_app, name, f"10.0.0.{number}"))

        assert login(slow_app, name, OWNERS, PASSWORD) == GOOD
        assert login(slow_app, name, "192.0.2.78", PASSWORD) == TOO_MANY

    def test_come_in_from_where_they_have_used_their_refresh_token(self, slow_app, name):
        token = tokens(slow_app, name, "192.0.2.1")["refresh_token"]
        elsewhere = {"environ_overrides": {"REMOTE_ADDR": OWNERS}}
        assert send(slow_app.test_client(), "POST", "/api/v1/auth/refresh", token, **elsewhere).status_code == GOOD
        in_parallel(ANYWHERE + 10, lambda number: login(slow_app, name, f"10.0.0.{number}"))

        assert login(slow_app, name, OWNERS, PASSWORD) == GOOD

    @pytest.mark.parametrize("expired", [False, True])
    def test_come_in_beside_strangers_in_their_network_with_a_token_of_their_device(self, make_app, name, expired):
        app = make_app(refresh_token_seconds=60, access_token_seconds=10)
        token = tokens(app, name, STRANGERS)["refresh_token"]
        if expired:
            token = resigned(app, token, exp=1_700_000_000)
        assert [login(app, name, STRANGERS) for _ in range(2 * PER_ADDRESS)][-1] == TOO_MANY

        assert login(app, name, STRANGERS, PASSWORD) == TOO_MANY
        assert login(app, name, STRANGERS, PASSWORD, Authorization=f"Bearer {token}") == GOOD

    def test_of_a_device_can_still_not_guess_without_end(self, app, name):
        token = tokens(app, name)["refresh_token"]
        bearer = {"Authorization": f"Bearer {token}"}

        tried = [login(app, name, f"10.0.0.{number}", **bearer) for number in range(20)]

        assert Counter(tried) == {WRONG: PER_ACCOUNT, TOO_MANY: 20 - PER_ACCOUNT}

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token", "nonsense"])
    def test_are_nobody_else_with_another_token(self, app, name, kind):
        make_user(app, username="stranger", password_hash=hashed(PASSWORD))
        theirs = tokens(app, "stranger")
        token = {"refresh_token": theirs["refresh_token"], "access_token": tokens(app, name)["access_token"]}.get(
            kind, "x"
        )
        assert [login(app, name, STRANGERS) for _ in range(PER_ACCOUNT + 1)][-1] == TOO_MANY

        assert login(app, name, STRANGERS, PASSWORD, Authorization=f"Bearer {token}") == TOO_MANY

    def test_who_are_signed_in_can_change_their_password_meanwhile(self, app, name):
        token = tokens(app, name)["access_token"]
        assert [login(app, name, OWNERS) for _ in range(PER_ACCOUNT + 1)][-1] == TOO_MANY
        change = {"current_password": PASSWORD, "password": "nineteen green herons"}

        assert send(app.test_client(), "PATCH", "/api/v1/auth/me", token, json=change).status_code == 200
        assert login(app, name, OWNERS, "nineteen green herons") == GOOD  # a new password has new tries

    def test_wait_for_some_seconds_at_most_where_they_have_never_been(self, app, name):
        in_parallel(ANYWHERE + 30, lambda number: login(app, name, f"10.0.0.{number}"))
        tried = {"json": {"username": name, "password": PASSWORD}, "environ_overrides": {"REMOTE_ADDR": OWNERS}}

        answer = send(app.test_client(), "POST", LOGIN, **tried)

        assert answer.status_code == GOOD or int(answer.headers["Retry-After"]) <= accounts.SLOW_SECONDS


class TestTriesAtOnce:
    def test_a_thousand_from_one_address_check_no_more_than_its_limit_whatever_they_say(self, app):
        statuses = in_parallel(1_000, lambda number: login(app, f"user-{number}", **spoofed(number)))

        assert statuses == {WRONG: PER_ADDRESS, TOO_MANY: 1_000 - PER_ADDRESS}

    def test_at_one_account_check_no_more_than_its_limit_from_one_network(self, app, name):
        spellings = [name, name.upper(), "somebody@example.com", "Somebody@Example.COM", "\uff53omebody"]

        statuses = in_parallel(25, lambda number: login(app, spellings[number % 5]))

        assert statuses == {WRONG: PER_ACCOUNT, TOO_MANY: 25 - PER_ACCOUNT}
        assert login(app, name, password=PASSWORD) == TOO_MANY

    def test_at_one_account_check_few_from_wherever_they_come(self, slow_app, name):
        app = slow_app
        spellings = [name, name.upper(), "somebody@example.com", "Somebody@Example.COM", "\uff53omebody"]

        statuses = in_parallel(
            300, lambda number: login(app, spellings[number % 5], f"10.0.{number // 200}.{number % 200}")
        )

        assert statuses == {WRONG: ANYWHERE + 1, TOO_MANY: 300 - ANYWHERE - 1}
        assert login(app, name, "192.0.2.9", PASSWORD) == TOO_MANY

    def test_at_a_name_that_nobody_has_look_the_same(self, slow_app):
        statuses = in_parallel(25, lambda number: login(slow_app, "nobody"))
        assert statuses == {WRONG: PER_ACCOUNT, TOO_MANY: 25 - PER_ACCOUNT}

        statuses = in_parallel(200, lambda number: login(slow_app, "nobody", f"10.0.0.{number}"))
        assert statuses == {WRONG: ANYWHERE - PER_ACCOUNT + 1, TOO_MANY: 200 - ANYWHERE + PER_ACCOUNT - 1}

    def test_against_two_real_processes_check_no_more_than_the_limit(self, database_url, sandbox, tmp_path):
        with web(environment(database_url, sandbox.url), tmp_path / "web.log") as site:
            eventually(lambda: answers(site.url))

            def one(number: int) -> int:
                with closing(HTTPConnection(site.url.removeprefix("http://"), timeout=20)) as connection:
                    tried = json.dumps({"username": f"user-{number}", "password": "wrong"})
                    headers = {"Content-Type": "application/json", "Connection": "close"} | spoofed(number)
                    connection.request("POST", LOGIN, tried, headers)
                    return connection.getresponse().status

            statuses = in_parallel(300, one)

        assert statuses == {WRONG: PER_ADDRESS, TOO_MANY: 300 - PER_ADDRESS}


class TestAddresses:
    def test_a_trusted_proxy_names_the_address_and_nothing_before_its_word_counts(self, make_app):
        app = make_app(trusted_proxies=1, logins_per_address=5)

        def one(number: int) -> int:
            return login(app, f"user-{number}", **{"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.7"})

        assert in_parallel(40, one) == {WRONG: 5, TOO_MANY: 35}
        assert login(app, "user", **{"X-Forwarded-For": "203.0.113.8"}) == WRONG

    def test_of_a_network_of_one_customer_are_one(self, make_app):
        app = make_app(logins_per_address=5)

        statuses = in_parallel(40, lambda number: login(app, f"user-{number}", f"2001:db8:1:2:{number:x}::1"))

        assert statuses == {WRONG: 5, TOO_MANY: 35}
        assert login(app, "user", "2001:db8:1:3::1") == WRONG

    def test_of_the_old_kind_in_the_new_spelling_are_the_same(self, make_app):
        app = make_app(logins_per_address=5)

        def one(number: int) -> int:
            return login(app, f"user-{number}", ("192.0.2.1", "::ffff:192.0.2.1")[number % 2])

        assert in_parallel(40, one) == {WRONG: 5, TOO_MANY: 35}


class TestOtherDoors:
    def test_the_present_password_cannot_be_guessed_in_order_to_change_it(self, app, name):
        (user,) = stored(app, User)
        token = sign_in(app, user.id)["access_token"]

        def one(number: int) -> int:
            change = {"current_password": f"wrong {number}", "password": "nineteen green herons"}
            return send(app.test_client(), "PATCH", "/api/v1/auth/me", token, json=change).status_code

        assert in_parallel(100, one) == {422: PER_ACCOUNT, TOO_MANY: 100 - PER_ACCOUNT}
        assert login(app, name, password=PASSWORD) == GOOD

    def test_names_cannot_be_tried_out_by_registering_without_an_end(self, app):
        def one(number: int) -> int:
            account = {"username": f"user-{number}", "email": f"{number}@example.com", "password": PASSWORD}
            return send(app.test_client(), "POST", "/api/v1/auth/register", json=account).status_code

        assert in_parallel(100, one) == {201: REGISTRATIONS, TOO_MANY: 100 - REGISTRATIONS}
        assert len(stored(app, User)) == REGISTRATIONS


class TestAnswers:
    def test_are_the_same_for_a_wrong_password_and_a_name_that_nobody_has(self, app, name):
        make_user(app, username="dismissed", password_hash=hashed(PASSWORD), active=False)
        tries = [(name, "wrong"), ("nobody", "wrong"), ("dismissed", "wrong"), ("dismissed", PASSWORD)]
        told = []

        for username, password in tries:
            login = {"json": {"username": username, "password": password}, "headers": {"X-Request-ID": "mine"}}
            answer = send(app.test_client(), "POST", LOGIN, **login)
            told.append((answer.status_code, answer.text, sorted(answer.headers)))

        assert told == [told[0]] * len(tries)
        assert told[0][0] == WRONG

    def test_tell_when_it_is_over(self, make_app):
        client = make_app(logins_per_address=1).test_client()
        tried = {"json": {"username": "user", "password": "wrong"}}

        answers = [send(client, "POST", LOGIN, **tried) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [WRONG, TOO_MANY]
        assert 0 < int(answers[1].headers["Retry-After"]) <= 60
