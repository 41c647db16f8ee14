"""A name that nobody has costs as much as a wrong password: the same work is done for both."""

import pytest
from argon2 import PasswordHasher

from aggregator.models import User
from aggregator.services import passwords
from aggregator.services.passwords import NOBODYS, hashed
from tests.builders import make_user, stored

PASSWORD = "eleven purple otters"


class Recording(PasswordHasher):
    """The real one, and which hashes it has verified."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified: list[str | bytes] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        self.verified.append(hash)
        return super().verify(hash, password)


@pytest.fixture
def hasher(monkeypatch):
    recording = Recording()
    monkeypatch.setattr(passwords, "_hasher", recording)
    return recording


@pytest.mark.parametrize("password", [PASSWORD, "wrong", "Cafe\u0301 77 quay"])
def test_as_many_hashes_are_verified_for_nobody_as_for_somebody(app, visitor, hasher, password):
    make_user(app, username="somebody", password_hash=hashed("something else"))
    make_user(app, username="dismissed", password_hash=hashed(PASSWORD), active=False)
    (own,) = [user.password_hash for user in stored(app, User, User.username == "somebody")]
    verified = {}

    for name in ("somebody", "nobody", "dismissed"):
        hasher.verified.clear()
        answer = visitor.post("/api/v1/auth/login", json={"username": name, "password": password})
        assert answer.status_code == 401
        verified[name] = list(hasher.verified)

    forms = 1 if password.isascii() else 2
    assert verified == {"somebody": [own] * forms, "nobody": [NOBODYS] * forms, "dismissed": [NOBODYS] * forms}
