"""When a token begins and ends: by the database's clock, whatever the host's says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import flask_jwt_extended.tokens
import jwt.api_jwt
import pytest
from werkzeug.test import TestResponse

from aggregator.clock import CLOCK, utcnow
from aggregator.models import SignIn
from tests.builders import bearer, edit, make_user, sign_in
from tests.security.tokens import claims_of, resigned

HOURS = (-2, 2)
ACCESS_SECONDS, REFRESH_SECONDS = 300, 86_400


@pytest.fixture
def tokens(app) -> dict[str, Any]:
    return sign_in(app, make_user(app))


def me(visitor, token: str) -> TestResponse:
    return visitor.get("/api/v1/auth/me", headers=bearer(token))


def refresh(visitor, token: str) -> TestResponse:
    return visitor.post("/api/v1/auth/refresh", headers=bearer(token))


def answer(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.json.get("code", "")


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


@pytest.fixture(params=HOURS)
def wrong_host(request, monkeypatch) -> None:
    """What libraries that ask the host for the time are answered."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=request.param)

    monkeypatch.setattr(jwt.api_jwt, "datetime", Wrong)
    monkeypatch.setattr(flask_jwt_extended.tokens, "datetime", Wrong)


@pytest.fixture(params=HOURS)
def wrong_process(request, monkeypatch) -> None:
    """A process that last heard the database before its clock was set."""
    monkeypatch.setattr(CLOCK, "_offset", CLOCK._offset + request.param * 3600)
    monkeypatch.setattr(CLOCK, "follows", True)


@pytest.mark.parametrize(("kind", "life"), [("access_token", ACCESS_SECONDS), ("refresh_token", REFRESH_SECONDS)])
def test_a_token_lasts_from_now_on_by_our_clock(app, wrong_host, kind, life):
    before = seconds(utcnow())
    claims = claims_of(sign_in(app, make_user(app))[kind])

    assert before - 1 <= claims["iat"] == claims["nbf"] == claims["exp"] - life <= seconds(utcnow()) + 1


def test_tokens_are_good_on_a_host_whose_clock_was_set(visitor, tokens, wrong_host):
    assert me(visitor, tokens["access_token"]).status_code == 200
    new = refresh(visitor, tokens["refresh_token"])
    assert new.status_code == 200
    assert me(visitor, new.json["access_token"]).status_code == 200


def test_tokens_are_good_in_a_process_that_has_not_heard_of_the_databases_clock(visitor, tokens, wrong_process):
    assert me(visitor, tokens["access_token"]).status_code == 200
    assert abs(utcnow() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_refresh_token_is_so_too(visitor, tokens, wrong_process):
    assert refresh(visitor, tokens["refresh_token"]).status_code == 200
    assert abs(utcnow() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_process_that_has_just_started_with_a_clock_that_is_behind_refuses_what_has_expired(
    app, visitor, tokens, monkeypatch
):
    monkeypatch.setattr(CLOCK, "_offset", CLOCK._offset - 7_200)
    monkeypatch.setattr(CLOCK, "follows", False)
    expired = resigned(app, tokens["access_token"], exp=seconds(datetime.now(UTC)) - 60)

    assert answer(me(visitor, expired)) == (401, "token_expired")


class TestWhenTheClockOfTheDatabaseHasGoneBack:
    """By two hours, since the tokens were made: so they and their sign-in lie two hours ahead of it."""

    @pytest.fixture
    def ahead(self, app, tokens) -> dict[str, str]:
        edit(app, SignIn, refreshed_at=utcnow() + timedelta(hours=2), expires_at=utcnow() + timedelta(hours=26))
        return {kind: self.moved(app, tokens[kind]) for kind in ("access_token", "refresh_token")}

    @staticmethod
    def moved(app, token: str) -> str:
        return resigned(app, token, **{name: claims_of(token)[name] + 7_200 for name in ("iat", "nbf", "exp")})

    def test_access_tokens_are_good(self, visitor, ahead):
        assert me(visitor, ahead["access_token"]).status_code == 200

    def test_refresh_tokens_are_good_and_bring_tokens_of_the_present(self, visitor, ahead):
        new = refresh(visitor, ahead["refresh_token"])

        assert new.status_code == 200
        assert me(visitor, new.json["access_token"]).status_code == 200
        assert abs(claims_of(new.json["access_token"])["iat"] - seconds(utcnow())) < 5

    def test_no_token_is_good_that_lies_ahead_of_its_sign_in(self, app, visitor, ahead, tokens):
        edit(app, SignIn, refreshed_at=utcnow())

        assert answer(me(visitor, ahead["access_token"])) == (401, "token_invalid")


@pytest.mark.parametrize(("late", "code"), [(-12, "token_expired"), (-8, "")])
def test_ten_seconds_after_its_end_a_token_is_still_good(app, visitor, tokens, late, code):
    token = resigned(app, tokens["access_token"], exp=seconds(datetime.now(UTC)) + late)

    assert answer(me(visitor, token)) == ((401, code) if code else (200, ""))
