"""Secrets as the database has them: encrypted with keys that are derived from SECRET_KEY."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# What is encrypted begins with this. It is not even Latin-1: an older version that takes it for a secret of its own can
# neither decode it as Base64 nor put it into a header. It fails, where it would sign with a wrong key.
MARK = "sealed→"
KEY_ID_LENGTH = 8
PREFIX_LENGTH = len(MARK) + KEY_ID_LENGTH + 1


class Purpose(StrEnum):
    """What a key is for. The words are part of its derivation: never change them."""

    WEBHOOKS = "aggregator: secrets of webhooks, 1"
    OFFERS_TOKEN = "aggregator: access token of the offers service, 1"  # noqa: S105 - the words, not a token


class UnreadableSecret(Exception):
    """A secret was encrypted with a key that is not given any more, or is damaged."""


class SecretBox:
    """Encrypts with the first of the keys, and decrypts what was encrypted with any of them.

    A text that is encrypted names its key, so that a query can find what another key has encrypted.
    """

    def __init__(self, keys: Sequence[str], purpose: Purpose) -> None:
        self._fernets = {_prefix(key): Fernet(key) for key in (_derived(key, purpose) for key in keys)}
        self.prefixes = tuple(self._fernets)  # of what can be read, the current one first

    @property
    def current(self) -> str:
        """What all begins with that is encrypted with the current key."""
        return self.prefixes[0]

    def seal(self, plain: str) -> str:
        """The secret as it is stored."""
        return self.current + self._fernets[self.current].encrypt(plain.encode()).decode()

    def open(self, stored: str) -> str:
        """The secret itself. UnreadableSecret where its key is not given.

        A plain one, which an older version has stored, is returned as it is.
        """
        if not stored.startswith(MARK):
            return stored
        try:
            return self._fernets[stored[:PREFIX_LENGTH]].decrypt(stored[PREFIX_LENGTH:].encode()).decode()
        except (KeyError, InvalidToken):
            raise UnreadableSecret from None

    def can_open(self, stored: str) -> bool:
        """Whether the secret can be read."""
        try:
            self.open(stored)
        except UnreadableSecret:
            return False
        return True

    def renewed(self, stored: str) -> str:
        """The secret encrypted with the current key; as it is where it is so already, cannot be read, or is none."""
        if not stored or stored.startswith(self.current) or not self.can_open(stored):
            return stored
        return self.seal(self.open(stored))


def _derived(key: str, purpose: Purpose) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(key.encode())
    return urlsafe_b64encode(derived)


def _prefix(key: bytes) -> str:
    return f"{MARK}{sha256(key).hexdigest()[:KEY_ID_LENGTH]}:"
