"""Passwords: which will do, and their hashes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Semaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from aggregator.errors import Unavailable
from aggregator.models.accounts import MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH
from aggregator.text import has_control, opaque

# OWASP's Password Storage Cheat Sheet. The library's own, 64 MiB each, would let fifty logins fill a small dyno.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Nobody's password; to check it takes as long as to check somebody's.
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$uJ81G1kQP9tjIMmnpNXlLA$xH7z5bazo08112bUPrJAhIZU6BbsTrUZQ1NktEqUuVk"
WAIT_SECONDS = 5.0
_turn = Semaphore(2)


def weakness(password: str, *names: str) -> str | None:
    """Why a password will not do, for somebody of these names; None where it will.

    Length and guessability only, after NIST SP 800-63B: rules of composition make passwords worse.
    """
    password = opaque(password)
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        return f"Must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters."
    if has_control(password):
        return "Contains a character that cannot be stored."  # in the words of what refuses it in a request
    folded = password.casefold()
    if folded in _common() or len(set(folded)) < 3:
        return "Is too common."
    if any(name and opaque(name).casefold() in (folded, folded[::-1]) for name in names):
        return "Must not be the name or the address."
    return None


@cache
def _common() -> frozenset[str]:
    # Not at the start: it holds words of many kinds, and only who sets a password needs them.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def hashed(password: str) -> str:
    """The hash to store. It takes some 20 ms and 19 MiB, so it has no place in a transaction."""
    with _one_of_few():
        return _hasher.hash(opaque(password))


@dataclass(frozen=True)
class Match:
    """Whether a password is the one that was hashed, and whether it would be hashed in another way today."""

    good: bool
    outdated: bool = False

    def __bool__(self) -> bool:
        return self.good


def matches(password_hash: str | None, password: str) -> Match:
    """Compare a password with a hash. It takes as long where there is no hash, which no password matches.

    Passwords were once hashed as they were typed, so one that is typed in another form is tried in both.
    """
    forms = dict.fromkeys((opaque(password), password))
    with _one_of_few():
        found = [form for form in forms if _verify(password_hash or NOBODYS, form)]
    if password_hash is None or not found:
        return Match(False)
    return Match(True, found[0] != opaque(password) or _hasher.check_needs_rehash(password_hash))


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Two at once, whatever comes in: each takes a processor and 19 MiB."""
    if not _turn.acquire(timeout=WAIT_SECONDS):
        raise Unavailable
    try:
        yield
    finally:
        _turn.release()
