"""/api/v1/auth and /api/v1/users: signing up, in and out, one's own account and everybody's."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.clock import utcnow
from aggregator.models import Role, SignIn, User
from aggregator.services import passwords
from tests.api.pages import links, pagination
from tests.builders import LONG_AGO, bearer, edit, make_user, sign_in, stored
from tests.conftest import signed_in

AUTH, USERS = "/api/v1/auth", "/api/v1/users"
PASSWORD, ANOTHER, WRONG = "correct horse", "battery staple", "incorrect horse"
ALICE = {"username": "Alice", "email": "alice@example.com", "password": PASSWORD}
PATIENCE = 10.0  # seconds


@pytest.fixture
def alice(app) -> UUID:
    return make_user(app, username="Alice", email="alice@example.com", password_hash=passwords.hashed(PASSWORD))


@pytest.fixture
def as_alice(app, alice) -> FlaskClient:
    """A client that is signed in as Alice, a customer."""
    return signed_in(app, alice)


def login(client: FlaskClient, username: str = "alice", password: str = PASSWORD, **options: Any) -> TestResponse:
    return client.post(f"{AUTH}/login", json={"username": username, "password": password}, **options)


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post(f"{AUTH}/refresh", headers=bearer(token))


def me(client: FlaskClient, token: str) -> int:
    """The status of a request with an access token."""
    return client.get(f"{AUTH}/me", headers=bearer(token)).status_code


def errors(response: TestResponse) -> dict[str, list[str]]:
    """The fields that an answer says will not do."""
    assert response.status_code == 422, response.json
    assert response.content_type == "application/problem+json"
    found: dict[str, list[str]] = response.json["errors"]["json"]
    return found


def is_out(response: TestResponse) -> bool:
    """Whether an answer says that the token was good once, and is no more."""
    return (response.status_code, response.json["detail"], response.headers["WWW-Authenticate"]) == (
        401,
        "The token has been revoked; sign in again.",
        'Bearer realm="product-aggregator", error="invalid_token"',
    )


def living(app: Flask) -> list[UUID]:
    """The users of the sign-ins that have not ended."""
    return [row.user_id for row in stored(app, SignIn, SignIn.ended_at.is_(None))]


class TestRegister:
    def test_answers_with_the_new_customer(self, app, visitor):
        response = visitor.post(f"{AUTH}/register", json=ALICE | {"email": "Alice@Example.COM"})

        (user,) = stored(app, User)
        created_at = user.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert response.status_code == 201
        assert response.json == {
            "id": str(user.id),
            "username": "Alice",
            "email": "Alice@example.com",
            "role": "customer",
            "active": True,
            "email_confirmed": False,
            "mail_alerts": True,
            "mail_daily": True,
            "created_at": created_at,
            "updated_at": created_at,
        }

    def test_does_not_sign_in_but_one_can(self, app, visitor):
        visitor.post(f"{AUTH}/register", json=ALICE)

        assert stored(app, SignIn) == []
        assert login(visitor).status_code == 200

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("username", "Alice"),
            ("username", "ALICE"),
            ("username", "\uff21lice"),
            ("email", "alice@example.com"),
            ("email", "ALICE@Example.com"),
        ],
    )
    def test_what_is_taken_in_any_case_is_a_409(self, app, visitor, alice, field, value):
        other = {"username": "other", "email": "other@example.com", "password": PASSWORD}

        response = visitor.post(f"{AUTH}/register", json=other | {field: value})

        assert response.status_code == 409
        assert response.json["detail"] == "This name or address is taken."
        assert len(stored(app, User)) == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("username", "al"),
            ("username", "x" * 81),
            ("username", "alice@example.com"),
            ("username", "al ice"),
            ("username", None),
            ("username", 12345),
            ("email", "alice"),
            ("email", "alice@localhost"),
            ("email", "alice@shop.local"),
            ("email", f"alice@{'x' * 250}.com"),
            ("email", ["alice@example.com"]),
            ("password", "short"),
            ("password", "password"),
            ("password", "x" * 129),
            ("password", "aLICE@example.com"),
            ("password", 12345678),
            ("password", "correct\0horse"),
            ("password", "correct\ud800horse"),
        ],
    )
    def test_what_will_not_do_is_a_422_that_names_it(self, app, visitor, field, value):
        assert list(errors(visitor.post(f"{AUTH}/register", json=ALICE | {field: value}))) == [field]
        assert stored(app, User) == []

    @pytest.mark.parametrize("field", ["username", "email", "password"])
    def test_what_is_missing_is_named(self, visitor, field):
        fields = {name: value for name, value in ALICE.items() if name != field}

        assert errors(visitor.post(f"{AUTH}/register", json=fields)) == {field: ["Missing data for required field."]}

    def test_all_that_will_not_do_is_named_at_once(self, visitor):
        fields = {"username": "al", "email": "nowhere", "password": "short"}

        assert errors(visitor.post(f"{AUTH}/register", json=fields)) == {
            "username": ["Must have 3 to 80 letters, digits, dots, hyphens or underscores."],
            "email": ["Not an address."],
            "password": ["Must have 8 to 128 characters."],
        }

    @pytest.mark.parametrize("field", ["role", "active", "id", "password_hash", "username_key", "colour"])
    def test_nobody_makes_themselves_more_than_a_customer(self, app, visitor, field):
        response = visitor.post(f"{AUTH}/register", json=ALICE | {field: "admin"})

        assert errors(response) == {field: ["Unknown field."]}
        assert stored(app, User) == []

    def test_of_many_who_want_a_name_at_once_one_gets_it(self, app):
        start = Barrier(4)

        def work(number: int) -> int:
            client = app.test_client()
            start.wait(PATIENCE)
            fields = ALICE | {"email": f"alice-{number}@example.com"}
            return client.post(f"{AUTH}/register", json=fields).status_code

        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(work, range(4))) == [201, 409, 409, 409]


class TestLogin:
    @pytest.mark.parametrize("name", ["Alice", "alice", "ALICE", "alice@example.com", "Alice@EXAMPLE.com"])
    def test_by_name_or_address_in_any_case_gives_tokens(self, visitor, alice, name):
        response = login(visitor, name)

        assert response.status_code == 200
        assert set(response.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
        assert (response.json["token_type"], response.json["expires_in"]) == ("Bearer", 300)
        me = visitor.get(f"{AUTH}/me", headers=bearer(response.json["access_token"]))
        assert me.json["id"] == str(alice)

    @pytest.mark.parametrize("name", ["alice@xn--tda.example.com", "alice@Ü.example.com", "alice@u\u0308.example.com"])
    def test_by_an_address_in_any_form_that_could_be_registered(self, visitor, name):
        visitor.post(f"{AUTH}/register", json=ALICE | {"email": "Alice@ü.example.com"})

        assert login(visitor, name).status_code == 200

    def test_tokens_last_as_long_as_they_say(self, app, make_app, alice):
        response = login(make_app(access_token_seconds=77, refresh_token_seconds=7700).test_client())

        (sign_in,) = stored(app, SignIn)
        assert response.json["expires_in"] == 77
        assert sign_in.expires_at - sign_in.refreshed_at == timedelta(seconds=7700)

    def test_one_may_be_signed_in_at_several_places(self, visitor, alice):
        first, second = login(visitor).json, login(visitor).json

        assert [me(visitor, tokens["access_token"]) for tokens in (first, second)] == [200, 200]
        assert first["refresh_token"] != second["refresh_token"]

    def test_a_wrong_password_and_an_unknown_user_are_told_alike(self, app, visitor, alice):
        make_user(app, username="bob", password_hash=passwords.hashed(PASSWORD), active=False)
        tries = [("alice", WRONG), ("nobody", PASSWORD), ("nobody@example.com", PASSWORD), ("bob", PASSWORD), ("", "")]

        answers = [login(visitor, *credentials) for credentials in tries]

        bodies = [{name: value for name, value in answer.json.items() if name != "request_id"} for answer in answers]
        assert bodies[0] == {
            "type": "/docs/problems/wrong-credentials",
            "title": "Wrong credentials",
            "status": 401,
            "code": "wrong_credentials",
            "detail": "The name or the password is wrong.",
        }
        assert bodies == bodies[:1] * 5
        headers = [{name: value for name, value in answer.headers if name != "X-Request-ID"} for answer in answers]
        assert headers == headers[:1] * 5
        assert stored(app, SignIn) == []

    @pytest.mark.parametrize(
        "fields",
        [
            {"username": "alice"},
            {"password": PASSWORD},
            {"username": "alice", "password": None},
            {"username": ["alice"], "password": PASSWORD},
            {"username": "x" * 255, "password": PASSWORD},
            {"username": "alice", "password": "x" * 129},
            {"username": "alice\0", "password": PASSWORD},
            {"username": "alice", "password": PASSWORD, "role": "admin"},
        ],
    )
    def test_a_body_that_makes_no_sense_is_a_422(self, visitor, alice, fields):
        assert errors(visitor.post(f"{AUTH}/login", json=fields))

    def test_a_password_in_a_422_is_not_said_again(self, visitor):
        response = visitor.post(f"{AUTH}/login", json={"username": 5, "password": "hunter2" * 30})

        assert set(errors(response)) == {"username", "password"}
        assert "hunter2" not in response.text


class TestRefresh:
    def test_gives_new_tokens_of_the_same_sign_in(self, app, visitor, alice):
        first = login(visitor).json
        second = refresh(visitor, first["refresh_token"])

        assert second.status_code == 200
        assert set(second.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
        assert second.json["refresh_token"] != first["refresh_token"]
        assert [me(visitor, tokens["access_token"]) for tokens in (first, second.json)] == [200, 200]
        assert len(stored(app, SignIn)) == 1

    def test_goes_on_for_ever(self, app, visitor, alice):
        token = login(visitor).json["refresh_token"]
        for _ in range(5):
            edit(app, SignIn, refreshed_at=utcnow() - timedelta(hours=23), expires_at=utcnow() + timedelta(hours=1))
            token = refresh(visitor, token).json["refresh_token"]

        (row,) = stored(app, SignIn)
        assert (row.generation, row.ended_at) == (6, None)
        assert row.expires_at > utcnow() + timedelta(hours=23)

    def test_a_token_used_twice_within_ten_seconds_has_the_same_successor(self, visitor, alice):
        token = login(visitor).json["refresh_token"]
        first, second = refresh(visitor, token), refresh(visitor, token)

        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json["refresh_token"] == second.json["refresh_token"]
        assert [me(visitor, answer.json["access_token"]) for answer in (first, second)] == [200, 200]
        assert refresh(visitor, first.json["refresh_token"]).status_code == 200

    def test_a_token_used_again_later_ends_the_whole_sign_in(self, app, visitor, alice):
        first, elsewhere = login(visitor).json, login(visitor).json
        second = refresh(visitor, first["refresh_token"]).json
        edit(app, SignIn, SignIn.generation == 2, refreshed_at=utcnow() - timedelta(seconds=15))

        assert is_out(refresh(visitor, first["refresh_token"]))
        assert is_out(refresh(visitor, second["refresh_token"]))
        assert [me(visitor, tokens["access_token"]) for tokens in (first, second, elsewhere)] == [401, 401, 200]
        assert refresh(visitor, elsewhere["refresh_token"]).status_code == 200

    def test_the_last_token_but_one_ends_the_whole_sign_in_at_any_time(self, visitor, alice):
        first = login(visitor).json
        second = refresh(visitor, first["refresh_token"]).json
        third = refresh(visitor, second["refresh_token"]).json

        assert is_out(refresh(visitor, first["refresh_token"]))
        assert is_out(refresh(visitor, third["refresh_token"]))
        assert me(visitor, third["access_token"]) == 401

    def test_sixteen_at_once_with_one_token_get_one_successor_and_nobody_is_logged_out(self, app, visitor, alice):
        token = login(visitor).json["refresh_token"]
        start = Barrier(16)

        def work(_: int) -> TestResponse:
            client = app.test_client()
            start.wait(PATIENCE)
            return refresh(client, token)

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(work, range(16)))

        assert [answer.status_code for answer in answers] == [200] * 16
        (successor,) = {answer.json["refresh_token"] for answer in answers}
        assert {me(visitor, answer.json["access_token"]) for answer in answers} == {200}
        assert refresh(visitor, successor).status_code == 200
        assert living(app) == [alice]

    def test_one_process_knows_what_another_gave_out(self, make_app, alice):
        first, second = (make_app(jwt_secret_key="k" * 64).test_client() for _ in range(2))
        token = login(first).json["refresh_token"]

        successors = {refresh(client, token).json["refresh_token"] for client in (second, first)}

        assert len(successors) == 1
        assert refresh(second, successors.pop()).status_code == 200

    def test_an_expired_sign_in_is_over(self, app, visitor, alice):
        tokens = login(visitor).json
        edit(app, SignIn, expires_at=utcnow() - timedelta(seconds=1))

        assert is_out(refresh(visitor, tokens["refresh_token"]))
        assert me(visitor, tokens["access_token"]) == 401

    def test_who_is_deactivated_gets_nothing(self, app, visitor, alice):
        tokens = login(visitor).json
        edit(app, User, active=False)

        assert is_out(refresh(visitor, tokens["refresh_token"]))
        assert me(visitor, tokens["access_token"]) == 401

    def test_an_access_token_is_none_to_refresh_with_and_the_other_way_round(self, visitor, alice):
        tokens = login(visitor).json

        for response in (
            refresh(visitor, tokens["access_token"]),
            visitor.get(f"{AUTH}/me", headers=bearer(tokens["refresh_token"])),
        ):
            assert (response.status_code, response.json["detail"]) == (401, "The token is not one of ours.")

    def test_without_a_token_it_is_a_401(self, visitor):
        response = visitor.post(f"{AUTH}/refresh")

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="product-aggregator"'


class TestLogout:
    def test_ends_access_and_refresh_tokens_at_once(self, visitor, alice):
        first = login(visitor).json
        second = refresh(visitor, first["refresh_token"]).json

        response = visitor.post(f"{AUTH}/logout", headers=bearer(second["access_token"]))

        assert (response.status_code, response.data) == (204, b"")
        assert [me(visitor, tokens["access_token"]) for tokens in (first, second)] == [401, 401]
        assert is_out(refresh(visitor, second["refresh_token"]))
        assert is_out(refresh(visitor, first["refresh_token"]))
        assert is_out(visitor.post(f"{AUTH}/logout", headers=bearer(second["access_token"])))

    def test_leaves_other_sign_ins_alone(self, visitor, alice):
        here, there = login(visitor).json, login(visitor).json
        visitor.post(f"{AUTH}/logout", headers=bearer(here["access_token"]))

        assert me(visitor, there["access_token"]) == 200
        assert refresh(visitor, there["refresh_token"]).status_code == 200

    def test_one_can_sign_in_again(self, visitor, alice):
        visitor.post(f"{AUTH}/logout", headers=bearer(login(visitor).json["access_token"]))

        assert login(visitor).status_code == 200

    def test_another_process_knows_at_once(self, make_app, alice):
        first, second = (make_app(jwt_secret_key="k" * 64).test_client() for _ in range(2))
        token = login(first).json["access_token"]
        assert me(second, token) == 200
        first.post(f"{AUTH}/logout", headers=bearer(token))

        assert me(second, token) == 401


class TestMe:
    def test_shows_ones_own_account(self, as_alice, alice):
        response = as_alice.get(f"{AUTH}/me")

        assert response.status_code == 200
        assert response.json == {
            "id": str(alice),
            "username": "Alice",
            "email": "alice@example.com",
            "role": "customer",
            "active": True,
            "email_confirmed": True,
            "mail_alerts": True,
            "mail_daily": True,
            "created_at": "2026-01-02T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:04:05.678901Z",
        }

    def test_an_address_is_changed(self, visitor, as_alice):
        response = as_alice.patch(f"{AUTH}/me", json={"email": "New@Example.ORG"})

        assert (response.status_code, response.json["email"]) == (200, "New@example.org")
        assert response.json["updated_at"] > response.json["created_at"]
        assert as_alice.get(f"{AUTH}/me").json == response.json
        assert login(visitor, "new@example.org").status_code == 200
        assert login(visitor, "alice@example.com").status_code == 401

    @pytest.mark.parametrize("email", ["bob@example.com", "BOB@Example.com"])
    def test_an_address_that_is_taken_is_a_409(self, app, as_alice, email):
        make_user(app, email="bob@example.com")

        response = as_alice.patch(f"{AUTH}/me", json={"email": email})

        assert (response.status_code, response.json["detail"]) == (409, "This name or address is taken.")
        assert as_alice.get(f"{AUTH}/me").json["email"] == "alice@example.com"

    @pytest.mark.parametrize("email", ["nowhere", "", None, 5, "a@localhost", "a\0@example.com", "x" * 255])
    def test_what_is_no_address_is_a_422(self, as_alice, email):
        assert list(errors(as_alice.patch(f"{AUTH}/me", json={"email": email}))) == ["email"]
        assert as_alice.get(f"{AUTH}/me").json["email"] == "alice@example.com"

    def test_nothing_to_change_changes_nothing(self, as_alice):
        before = as_alice.get(f"{AUTH}/me").json

        response = as_alice.patch(f"{AUTH}/me", json={})

        assert (response.status_code, response.json) == (200, before)

    @pytest.mark.parametrize("field", ["role", "active", "username", "id", "password_hash"])
    def test_what_is_not_ones_own_to_change_is_refused(self, app, as_alice, field):
        response = as_alice.patch(f"{AUTH}/me", json={field: "admin"})

        assert errors(response) == {field: ["Unknown field."]}

    def test_a_password_is_changed_with_the_old_one(self, visitor, as_alice):
        response = as_alice.patch(f"{AUTH}/me", json={"current_password": PASSWORD, "password": ANOTHER})

        assert response.status_code == 200
        assert login(visitor, password=PASSWORD).status_code == 401
        assert login(visitor, password=ANOTHER).status_code == 200

    def test_other_sign_ins_end_and_this_one_goes_on(self, app, visitor, alice):
        here, there = login(visitor).json, login(visitor).json
        bob = sign_in(app, make_user(app))
        change = {"current_password": PASSWORD, "password": ANOTHER}

        visitor.patch(f"{AUTH}/me", json=change, headers=bearer(here["access_token"]))

        assert [me(visitor, tokens["access_token"]) for tokens in (here, there, bob)] == [200, 401, 200]
        assert refresh(visitor, here["refresh_token"]).status_code == 200
        assert is_out(refresh(visitor, there["refresh_token"]))

    def test_a_wrong_old_password_is_a_422_and_changes_nothing(self, visitor, as_alice):
        elsewhere = login(visitor).json
        response = as_alice.patch(f"{AUTH}/me", json={"current_password": WRONG, "password": ANOTHER})

        assert errors(response) == {"current_password": ["Is not the present one."]}
        assert login(visitor, password=ANOTHER).status_code == 401
        assert login(visitor, password=PASSWORD).status_code == 200
        assert me(visitor, elsewhere["access_token"]) == 200

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("short", "Must have 8 to 128 characters."),
            ("iloveyou", "Is too common."),
            ("ALICE@example.com", "Must not be the name or the address."),
        ],
    )
    def test_a_new_password_that_will_not_do_is_a_422(self, visitor, as_alice, password, reason):
        response = as_alice.patch(f"{AUTH}/me", json={"current_password": PASSWORD, "password": password})

        assert errors(response) == {"password": [reason]}
        assert login(visitor, password=PASSWORD).status_code == 200

    @pytest.mark.parametrize(
        ("fields", "missing"),
        [({"password": ANOTHER}, "current_password"), ({"current_password": PASSWORD}, "password")],
    )
    def test_it_takes_both_the_old_and_the_new_one(self, as_alice, fields, missing):
        response = as_alice.patch(f"{AUTH}/me", json=fields)

        assert errors(response) == {missing: ["Both are needed to change the password."]}

    def test_address_and_password_can_be_changed_together(self, visitor, as_alice):
        both = {"email": "new@example.com", "current_password": PASSWORD, "password": ANOTHER}

        assert as_alice.patch(f"{AUTH}/me", json=both).json["email"] == "new@example.com"
        assert login(visitor, "new@example.com", ANOTHER).status_code == 200

    @pytest.mark.parametrize(
        "wrong",
        [
            {"current_password": WRONG},
            {"password": "short"},
            {"email": "nowhere"},
            {"email": "bob@example.com"},
        ],
    )
    def test_where_one_will_not_do_neither_is_changed(self, app, visitor, as_alice, wrong):
        make_user(app, email="bob@example.com")
        elsewhere = login(visitor).json
        both = {"email": "new@example.com", "current_password": PASSWORD, "password": ANOTHER}

        assert as_alice.patch(f"{AUTH}/me", json=both | wrong).status_code in (409, 422)
        assert as_alice.get(f"{AUTH}/me").json["email"] == "alice@example.com"
        assert login(visitor, password=PASSWORD).status_code == 200
        assert me(visitor, elsewhere["access_token"]) == 200

    def test_a_new_password_may_not_be_the_new_address(self, visitor, as_alice):
        both = {"email": "feather@example.com", "current_password": PASSWORD, "password": "feather@example.com"}

        assert errors(as_alice.patch(f"{AUTH}/me", json=both)) == {"password": ["Must not be the name or the address."]}
        assert login(visitor, password=PASSWORD).status_code == 200

    def test_without_a_token_it_is_a_401(self, visitor):
        for response in (visitor.get(f"{AUTH}/me"), visitor.patch(f"{AUTH}/me", json={})):
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="product-aggregator"'


class TestUsers:
    @pytest.fixture
    def admin(self, app) -> FlaskClient:
        """A client that is signed in as root, an admin; beside are Alice, Bob, who is deactivated, and Žofie."""
        root = make_user(app, Role.ADMIN, username="root", email="root@example.org")
        others = [("Alice", Role.CUSTOMER, True), ("Bob", Role.CUSTOMER, False), ("Žofie", Role.ADMIN, True)]
        for number, (name, role, active) in enumerate(others, 1):
            email, created_at = f"{'zab'[number - 1]}@example.com", LONG_AGO + timedelta(number)
            make_user(app, role, username=name, email=email, active=active, created_at=created_at)
        return signed_in(app, root)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["Alice", "Bob", "root", "Žofie"]),
            ("sort=-username", ["Žofie", "root", "Bob", "Alice"]),
            ("sort=email", ["Bob", "Žofie", "root", "Alice"]),
            ("sort=-created_at", ["Žofie", "Bob", "Alice", "root"]),
            ("role=admin", ["root", "Žofie"]),
            ("role=customer", ["Alice", "Bob"]),
            ("active=true", ["Alice", "root", "Žofie"]),
            ("active=false", ["Bob"]),
            ("active=true&role=customer", ["Alice"]),
            ("q=LI", ["Alice"]),
            ("q=o@EXAMPLE", []),
            ("q=A@example", ["Bob"]),
            ("q=example.org", ["root"]),
            ("q=%C5%BDOF", ["Žofie"]),
            ("q=%25", []),
            ("q=_", []),
            ("page_size=3", ["Alice", "Bob", "root"]),
            ("page_size=3&page=2", ["Žofie"]),
            ("page=9", []),
        ],
    )
    def test_can_be_searched_filtered_sorted_and_paged(self, admin, query, expected):
        response = admin.get(f"{USERS}?{query}")

        assert response.status_code == 200
        assert [user["username"] for user in response.json] == expected

    def test_a_page_says_how_many_there_are(self, admin):
        response = admin.get(f"{USERS}?page_size=3&role=admin&page=1")

        assert pagination(response)["total"] == 2
        assert pagination(admin.get(f"{USERS}?page_size=3")) == {
            "total": 4,
            "total_pages": 2,
            "first_page": 1,
            "last_page": 2,
            "page": 1,
            "next_page": 2,
        }

    @pytest.mark.parametrize("sort", ["username", "-email", "created_at", "-created_at,username"])
    def test_a_walk_by_cursor_sees_everybody_once(self, app, admin, sort):
        for _ in range(6):
            make_user(app)
        expected = admin.get(f"{USERS}?sort={sort}&page_size=100").json
        seen, address = [], f"{USERS}?sort={sort}&page_size=3"
        while address:
            response = admin.get(address)
            seen += response.json
            address = links(response).get("next")

        assert seen == expected
        assert len({user["id"] for user in seen}) == 10

    def test_each_shows_all_there_is_to_a_user(self, app, admin):
        (bob,) = stored(app, User, User.username == "Bob")
        expected = {
            "id": str(bob.id),
            "username": "Bob",
            "email": "a@example.com",
            "role": "customer",
            "active": False,
            "email_confirmed": True,
            "mail_alerts": True,
            "mail_daily": True,
            "created_at": "2026-01-04T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:04:05.678901Z",
        }

        assert admin.get(f"{USERS}?q=bob").json == [expected]
        assert admin.get(f"{USERS}/{bob.id}").json == expected

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("role=king", "role"),
            ("active=perhaps", "active"),
            ("sort=password_hash", "sort"),
            ("sort=role", "sort"),
            ("q=", "q"),
            (f"q={'x' * 101}", "q"),
            ("q=a%00b", "q"),
            ("page=0", "page"),
            ("page_size=101", "page_size"),
            ("cursor=x", "cursor"),
            ("password_hash=x", "password_hash"),
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, admin, query, field):
        response = admin.get(f"{USERS}?{query}")

        assert response.status_code == 422
        assert list(response.json["errors"]["query"]) == [field]

    @pytest.mark.parametrize("path", ["00000000-0000-0000-0000-00000000000a", "0", "root", "%00"])
    def test_who_is_not_there_is_a_404(self, admin, path):
        for response in (admin.get(f"{USERS}/{path}"), admin.patch(f"{USERS}/{path}", json={"active": False})):
            assert response.status_code == 404
            assert response.content_type == "application/problem+json"

    def test_customers_do_not_see_each_other(self, app, as_alice, alice):
        for response in (
            as_alice.get(USERS),
            as_alice.get(f"{USERS}/{alice}"),
            as_alice.patch(f"{USERS}/{alice}", json={"role": "admin"}),
        ):
            assert (response.status_code, response.json["detail"]) == (403, "Your role does not allow this.")
        assert stored(app, User)[0].role is Role.CUSTOMER

    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_users_are_neither_made_nor_deleted_here(self, client, alice, method):
        assert getattr(client, method)(f"{USERS}/{alice}", json={}).status_code == 405


class TestPatchUser:
    def test_gives_a_role_and_signs_out(self, app, client, alice):
        token = sign_in(app, alice)["access_token"]

        response = client.patch(f"{USERS}/{alice}", json={"role": "admin"})

        assert response.status_code == 200
        assert (response.json["id"], response.json["role"], response.json["active"]) == (str(alice), "admin", True)
        assert client.get(f"{USERS}/{alice}").json == response.json
        assert me(client, token) == 401
        assert signed_in(app, alice).get(USERS).status_code == 200

    def test_deactivates_and_activates_again(self, app, client, visitor, alice):
        tokens = login(visitor).json

        assert client.patch(f"{USERS}/{alice}", json={"active": False}).json["active"] is False
        assert me(visitor, tokens["access_token"]) == 401
        assert is_out(refresh(visitor, tokens["refresh_token"]))
        assert login(visitor).status_code == 401
        assert client.patch(f"{USERS}/{alice}", json={"active": True}).json["active"] is True
        assert me(visitor, tokens["access_token"]) == 401
        assert login(visitor).status_code == 200

    @pytest.mark.parametrize("fields", [{}, {"role": "customer"}, {"active": True, "role": "customer"}])
    def test_what_is_so_already_signs_nobody_out(self, client, as_alice, alice, fields):
        before = client.get(f"{USERS}/{alice}").json

        response = client.patch(f"{USERS}/{alice}", json=fields)

        assert (response.status_code, response.json) == (200, before)
        assert as_alice.get(f"{AUTH}/me").status_code == 200

    @pytest.mark.parametrize(
        ("field", "value"), [("role", "king"), ("role", None), ("role", 1), ("active", None), ("active", "perhaps")]
    )
    def test_what_makes_no_sense_is_a_422(self, client, alice, field, value):
        assert list(errors(client.patch(f"{USERS}/{alice}", json={field: value}))) == [field]

    @pytest.mark.parametrize("field", ["username", "email", "password", "password_hash", "id", "colour"])
    def test_what_is_not_an_admins_to_change_is_refused(self, client, alice, field):
        assert errors(client.patch(f"{USERS}/{alice}", json={field: "x"})) == {field: ["Unknown field."]}

    def test_a_demoted_admin_is_out_at_once_with_an_old_token(self, app, client):
        other = make_user(app, Role.ADMIN)
        tokens = sign_in(app, other)
        demoted = app.test_client()
        assert demoted.get(USERS, headers=bearer(tokens["access_token"])).status_code == 200

        client.patch(f"{USERS}/{other}", json={"role": "customer"})

        assert is_out(demoted.get(USERS, headers=bearer(tokens["access_token"])))
        assert is_out(refresh(demoted, tokens["refresh_token"]))

    def test_the_role_is_read_at_each_request(self, app, as_alice, alice):
        statuses = []
        for role in (Role.CUSTOMER, Role.ADMIN, Role.CUSTOMER):
            edit(app, User, User.id == alice, role=role)
            statuses.append(as_alice.get(USERS).status_code)

        assert statuses == [403, 200, 403]

    @pytest.mark.parametrize("fields", [{"role": "customer"}, {"active": False}])
    def test_the_last_admin_stays_one(self, app, client, fields):
        (admin,) = stored(app, User)
        make_user(app, Role.ADMIN, active=False)

        response = client.patch(f"{USERS}/{admin.id}", json=fields)

        assert response.status_code == 409
        assert response.json["detail"] == "This is the last admin; make somebody else one first."
        assert client.get(f"{USERS}/{admin.id}").json["role"] == "admin"

    @pytest.mark.parametrize("fields", [{"role": "customer"}, {"active": False}])
    def test_an_admin_who_is_not_the_last_may_leave(self, app, client, fields):
        (admin,) = stored(app, User)
        make_user(app, Role.ADMIN)

        assert client.patch(f"{USERS}/{admin.id}", json=fields).status_code == 200
        assert client.get(USERS).status_code == 401

    @pytest.mark.parametrize("fields", [{"role": "customer"}, {"active": False}])
    def test_of_two_admins_who_demote_each_other_at_once_one_stays(self, app, fields):
        admins = [make_user(app, Role.ADMIN) for _ in range(2)]
        start = Barrier(2)

        def work(clients: list[FlaskClient], number: int) -> int:
            start.wait(PATIENCE)
            return clients[number].patch(f"{USERS}/{admins[1 - number]}", json=fields).status_code

        with ThreadPoolExecutor(2) as threads:
            for _ in range(4):
                clients = [signed_in(app, admin) for admin in admins]
                first, second = sorted(threads.map(work, [clients] * 2, range(2)))
                assert first == 200
                assert second in (401, 409)  # whether they were out before they asked, or after
                assert len(stored(app, User, User.role == Role.ADMIN, User.active)) == 1
                edit(app, User, role=Role.ADMIN, active=True)


class TestLimits:
    def attempts(self, client: FlaskClient, *names: str, **options: Any) -> list[int]:
        return [login(client, name, WRONG, **options).status_code for name in names]

    def test_an_account_can_be_tried_so_often_by_name_and_address_together(self, make_app, alice):
        client = make_app(logins_per_account=3).test_client()

        assert self.attempts(client, "alice", "ALICE@example.com", "Alice", "alice", "alice@example.com") == [
            401,
            401,
            401,
            429,
            429,
        ]
        response = login(client)
        assert response.status_code == 429
        assert response.json["detail"] == "Too many attempts. Try again later."
        assert response.content_type == "application/problem+json"
        assert 200 < int(response.headers["Retry-After"]) <= 300

    def test_an_account_that_there_is_not_is_told_no_other_way(self, make_app, alice):
        client = make_app(logins_per_account=2).test_client()

        assert self.attempts(client, *["alice"] * 3) == self.attempts(client, *["nobody"] * 3) == [401, 401, 429]

    def test_other_accounts_are_not_harmed(self, app, make_app, alice):
        make_user(app, username="bob", password_hash=passwords.hashed(PASSWORD))
        client = make_app(logins_per_account=2).test_client()
        self.attempts(client, *["alice"] * 3)

        assert login(client, "bob").status_code == 200

    def test_who_is_signed_in_already_is_not_harmed(self, make_app, alice):
        client = make_app(logins_per_account=2).test_client()
        tokens = login(client).json
        self.attempts(client, *["alice"] * 3)

        assert me(client, tokens["access_token"]) == 200
        assert refresh(client, tokens["refresh_token"]).status_code == 200

    def test_a_login_that_works_begins_to_count_anew(self, make_app, alice):
        client = make_app(logins_per_account=2).test_client()

        for _ in range(3):
            assert self.attempts(client, "alice") == [401]
            assert login(client).status_code == 200

    def test_wrong_old_passwords_are_counted_for_their_sign_in_and_keep_nobody_from_logging_in(self, make_app, alice):
        client = make_app(logins_per_account=3).test_client()
        token = login(client).json["access_token"]
        change = {"current_password": WRONG, "password": ANOTHER}

        def try_to_change() -> int:
            return client.patch(f"{AUTH}/me", json=change, headers=bearer(token)).status_code

        assert [try_to_change() for _ in range(4)] == [422, 422, 422, 429]
        assert login(client).status_code == 200

    def test_a_network_can_try_so_often_whatever_the_name(self, make_app, alice):
        client = make_app(logins_per_address=3).test_client()

        assert self.attempts(client, "a", "b", "alice", "c") == [401, 401, 401, 429]
        response = login(client)
        assert response.status_code == 429
        assert 30 < int(response.headers["Retry-After"]) <= 60
        assert login(client, environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 200

    def test_all_addresses_of_an_ipv6_network_count_as_one(self, make_app, alice):
        client = make_app(logins_per_address=2).test_client()
        here, next_door = "2001:db8:1:2::{}", "2001:db8:1:3::1"

        statuses = [
            login(client, environ_base={"REMOTE_ADDR": here.format(number)}).status_code for number in range(1, 4)
        ]
        assert statuses == [200, 200, 429]
        assert login(client, environ_base={"REMOTE_ADDR": next_door}).status_code == 200

    def test_what_a_client_says_of_where_it_comes_from_does_not_help(self, make_app):
        client = make_app(logins_per_address=2).test_client()

        statuses = [
            *self.attempts(client, "a", headers={"X-Forwarded-For": "192.0.2.1"}),
            *self.attempts(client, "b", headers={"X-Forwarded-For": "192.0.2.2"}),
            *self.attempts(client, "c", headers={"X-Forwarded-For": "192.0.2.3"}),
            *self.attempts(client, "d", headers={"Forwarded": "for=192.0.2.4"}),
            *self.attempts(client, "e", headers={"X-Real-IP": "192.0.2.5"}),
        ]
        assert statuses == [401, 401, 429, 429, 429]

    def test_what_a_trusted_proxy_says_does(self, make_app):
        client = make_app(logins_per_address=1, trusted_proxies=1).test_client()

        def attempt(forwarded: str) -> int:
            return self.attempts(client, str(uuid4()), headers={"X-Forwarded-For": forwarded})[0]

        assert [attempt("192.0.2.1"), attempt("192.0.2.1"), attempt("192.0.2.2")] == [401, 429, 401]
        # What stands before it was said by the client.
        assert [attempt("198.51.100.1, 192.0.2.1"), attempt("192.0.2.3, 192.0.2.2")] == [429, 429]

    def test_of_two_trusted_proxies_the_first_one_counts(self, make_app):
        client = make_app(logins_per_address=1, trusted_proxies=2).test_client()

        def attempt(forwarded: str) -> int:
            return self.attempts(client, str(uuid4()), headers={"X-Forwarded-For": forwarded})[0]

        assert [attempt("192.0.2.1, 10.0.0.1"), attempt("198.51.100.1, 192.0.2.1, 10.0.0.2")] == [401, 429]

    def test_a_network_can_register_so_often(self, make_app):
        client = make_app(registrations_per_address=2).test_client()

        def attempt(**options: Any) -> TestResponse:
            name = f"user-{uuid4()}"
            fields = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            return client.post(f"{AUTH}/register", json=fields, **options)

        assert [attempt().status_code for _ in range(3)] == [201, 201, 429]
        assert 3500 < int(attempt().headers["Retry-After"]) <= 3600
        assert attempt(headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 429
        assert attempt(environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 201

    def test_an_address_can_be_changed_ten_times_an_hour(self, as_alice):
        answers = [as_alice.patch(f"{AUTH}/me", json={"email": f"alice-{n}@example.com"}) for n in range(11)]

        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert 3500 < int(answers[-1].headers["Retry-After"]) <= 3600
        assert answers[-1].json["detail"] == "Too many attempts. Try again later."
        assert as_alice.get(f"{AUTH}/me").json["email"] == "alice-9@example.com"

    def test_an_address_that_is_changed_counts_as_a_registration_of_the_network(self, make_app, alice):
        client = make_app(registrations_per_address=2).test_client()
        here = bearer(login(client).json["access_token"])

        def change(email: str, **options: Any) -> int:
            return client.patch(f"{AUTH}/me", json={"email": email}, headers=here, **options).status_code

        assert client.post(f"{AUTH}/register", json=ALICE).status_code == 409
        assert [change(f"{n}@example.com") for n in range(2)] == [200, 429]
        assert client.post(f"{AUTH}/register", json=ALICE).status_code == 429
        assert change("elsewhere@example.com", environ_base={"REMOTE_ADDR": "192.0.2.9"}) == 200

    def test_what_is_no_address_does_not_count(self, as_alice):
        for _ in range(11):
            assert as_alice.patch(f"{AUTH}/me", json={"email": "nowhere"}).status_code == 422

        assert as_alice.patch(f"{AUTH}/me", json={"email": "new@example.com"}).status_code == 200

    def test_what_is_no_login_at_all_does_not_count(self, make_app, alice):
        client = make_app(logins_per_address=1, logins_per_account=1).test_client()
        for _ in range(3):
            assert client.post(f"{AUTH}/login", json={"username": "alice"}).status_code == 422

        assert login(client).status_code == 200

    def test_processes_count_together(self, make_app, alice):
        processes = [make_app(logins_per_account=3).test_client() for _ in range(2)]

        assert [self.attempts(processes[number % 2], "alice")[0] for number in range(5)] == [401, 401, 401, 429, 429]

    def test_redis_counts_where_there_is_one(self, make_app, alice, redis_url):
        processes = [make_app(logins_per_account=3, redis_url=redis_url).test_client() for _ in range(2)]
        name = f"nobody-{uuid4()}"
        here = {"REMOTE_ADDR": f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"}

        statuses = [self.attempts(processes[number % 2], name, environ_base=here)[0] for number in range(5)]

        assert statuses == [401, 401, 401, 429, 429]

    def test_no_limit_falls_with_redis(self, make_app, alice):
        client = make_app(logins_per_account=2, redis_url="redis://127.0.0.1:9/0").test_client()

        assert self.attempts(client, *["alice"] * 3) == [401, 401, 429]


class TestWhatIsPrivate:
    def everything(self, app: Flask, client: FlaskClient, visitor: FlaskClient) -> dict[str, TestResponse]:
        """Each answer that has to do with accounts, good and bad."""
        answers = {"register": visitor.post(f"{AUTH}/register", json=ALICE)}
        answers["register twice"] = visitor.post(f"{AUTH}/register", json=ALICE)
        answers["register badly"] = visitor.post(f"{AUTH}/register", json=ALICE | {"password": "short"})
        answers["login"] = login(visitor)
        answers["login badly"] = login(visitor, password=WRONG)
        tokens = answers["login"].json
        answers["refresh"] = refresh(visitor, tokens["refresh_token"])
        answers["refresh badly"] = refresh(visitor, "nonsense")
        mine = bearer(tokens["access_token"])
        answers["me"] = visitor.get(f"{AUTH}/me", headers=mine)
        answers["head of me"] = visitor.head(f"{AUTH}/me", headers=mine)
        answers["me without a token"] = visitor.get(f"{AUTH}/me")
        answers["new address"] = visitor.patch(f"{AUTH}/me", json={"email": "new@example.com"}, headers=mine)
        change = {"current_password": PASSWORD, "password": ANOTHER}
        answers["new password"] = visitor.patch(f"{AUTH}/me", json=change, headers=mine)
        answers["wrong password"] = visitor.patch(f"{AUTH}/me", json=change, headers=mine)
        answers["users of a customer"] = visitor.get(USERS, headers=mine)
        answers["users"] = client.get(f"{USERS}?sort=-created_at&page_size=1")
        answers["users badly"] = client.get(f"{USERS}?sort=password_hash")
        url = f"{USERS}/{answers['register'].json['id']}"
        answers["user"] = client.get(url)
        answers["user again"] = client.get(url, headers={"If-None-Match": answers["user"].headers["ETag"]})
        answers["nobody"] = client.get(f"{USERS}/{uuid4()}")
        answers["patch"] = client.patch(url, json={"role": "admin"})
        answers["patch badly"] = client.patch(url, json={"password_hash": "x"})
        answers["logout"] = visitor.post(f"{AUTH}/logout", headers=bearer(sign_in(app, make_user(app))["access_token"]))
        return answers

    def test_answers_are_those_that_are_meant(self, app, client, visitor):
        statuses = {name: answer.status_code for name, answer in self.everything(app, client, visitor).items()}

        assert statuses == {
            "register": 201,
            "register twice": 409,
            "register badly": 422,
            "login": 200,
            "login badly": 401,
            "refresh": 200,
            "refresh badly": 401,
            "me": 200,
            "head of me": 200,
            "me without a token": 401,
            "new address": 200,
            "new password": 200,
            "wrong password": 422,
            "users of a customer": 403,
            "users": 200,
            "users badly": 422,
            "user": 200,
            "user again": 304,
            "nobody": 404,
            "patch": 200,
            "patch badly": 422,
            "logout": 204,
        }

    def test_no_answer_may_be_kept_by_anybody(self, app, client, visitor):
        kept = {name: answer.headers["Cache-Control"] for name, answer in self.everything(app, client, visitor).items()}

        assert kept == dict.fromkeys(kept, "no-store")

    def test_no_answer_holds_a_password_or_its_hash(self, app, client, visitor):
        answers = self.everything(app, client, visitor)

        hashes = {user.password_hash for user in stored(app, User)}
        for name, answer in answers.items():
            said = answer.text + str(answer.headers)
            assert not [secret for secret in (PASSWORD, ANOTHER, WRONG, "argon2", *hashes) if secret in said], name
            if answer.status_code < 300 and answer.text:
                assert "password" not in said, name

    def test_the_document_knows_of_no_hash(self, visitor):
        document = visitor.get("/openapi.json").json

        assert "password_hash" not in json.dumps(document)
        assert "password" not in document["components"]["schemas"]["User"]["properties"]


@pytest.mark.parametrize(
    ("path", "method"),
    [("register", "post"), ("login", "post"), ("me", "patch"), ("users", "patch")],
)
class TestBodies:
    @pytest.fixture
    def send(self, client, alice, path, method) -> Callable[..., TestResponse]:
        url = f"{USERS}/{alice}" if path == "users" else f"{AUTH}/{path}"
        return lambda **body: getattr(client, method)(url, **body)

    def test_one_that_is_no_json_is_a_400(self, send):
        assert send(data="{", content_type="application/json").status_code == 400

    def test_one_that_is_not_called_json_is_a_415(self, send):
        assert send(data="username=alice&password=x").status_code == 415

    @pytest.mark.parametrize("body", [[], "alice", 5, None, [{"username": "alice"}]])
    def test_one_that_is_no_object_is_a_422(self, send, body):
        assert send(data=json.dumps(body), content_type="application/json").status_code == 422
