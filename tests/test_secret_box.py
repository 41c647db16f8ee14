"""Secrets are encrypted with keys that are derived from SECRET_KEY, one for each purpose."""

from base64 import b64decode

import pytest

from aggregator.secret_box import MARK, Purpose, SecretBox, UnreadableSecret

PLAIN = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0"


def box(*keys: str, purpose: Purpose = Purpose.WEBHOOKS) -> SecretBox:
    return SecretBox(keys, purpose)


def test_what_is_encrypted_can_be_read_and_shows_nothing():
    stored = box("key").seal(PLAIN)

    assert box("key").open(stored) == PLAIN
    assert PLAIN not in stored
    assert PLAIN.removeprefix("whsec_") not in stored


def test_the_same_secret_becomes_another_text_each_time():
    assert len({box("key").seal(PLAIN) for _ in range(10)}) == 10


def test_a_former_key_reads_and_the_current_one_encrypts():
    former = box("old").seal(PLAIN)
    both = box("new", "old")

    assert both.open(former) == PLAIN
    assert box("new").open(both.renewed(former)) == PLAIN
    assert both.renewed(both.renewed(former)) != former


def test_what_is_encrypted_with_the_current_key_is_not_encrypted_again():
    stored = box("new").seal(PLAIN)

    assert box("new", "old").renewed(stored) == stored


def test_a_plain_secret_of_an_older_version_is_read_as_it_is_and_encrypted():
    assert box("key").open(PLAIN) == PLAIN
    assert box("key").open(box("key").renewed(PLAIN)) == PLAIN
    assert box("key").renewed(PLAIN).startswith(MARK)


def test_nothing_is_no_secret():
    assert box("key").renewed("") == ""


@pytest.mark.parametrize(
    "stored",
    [
        box("other").seal(PLAIN),
        box("key", purpose=Purpose.OFFERS_TOKEN).seal(PLAIN),
        box("key").seal(PLAIN)[:-3],
        box("key").seal(PLAIN)[:-8] + "AAAAAAA=",
        MARK,
        f"{MARK}12345678:",
        f"{MARK}\u00e9\u00e9",
    ],
    ids=["another key", "another purpose", "cut off", "changed", "nothing", "no text", "not ASCII"],
)
def test_what_cannot_be_read_is_said_so_and_left_alone(stored):
    with pytest.raises(UnreadableSecret):
        box("key").open(stored)
    assert not box("key").can_open(stored)
    assert box("key").renewed(stored) == stored


def test_an_older_version_can_neither_sign_with_it_nor_put_it_into_a_header():
    stored = box("key").seal(PLAIN)

    with pytest.raises(ValueError, match="ASCII"):
        b64decode(stored.removeprefix("whsec_"))
    with pytest.raises(UnicodeEncodeError):
        stored.encode("latin-1")


def test_no_key_is_in_a_repr():
    assert "my-key" not in repr(box("my-key"))


def test_keys_are_derived_in_a_way_that_never_changes():
    stored = (
        "sealed\u2192ed635e4f:gAAAAABrDedDf8ZTBQANZoteMxaxp0SV1OPjaOpykidY9ui7mxh"
        "0rROm_gGGHkZmYnc0GOOEj_lKFVK3nQAL6T_YMjG07_s3WEyGkjHYhnRbseJo4gXDj9c="
    )

    assert box("a key of a version that is in use").open(stored) == PLAIN
