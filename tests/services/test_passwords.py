"""Passwords: which will do, and how they are hashed."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from aggregator.errors import Unavailable
from aggregator.services import passwords
from aggregator.services.passwords import NOBODYS, Match, hashed, matches, weakness

REAL = passwords._hasher


@pytest.fixture(autouse=True)
def real_hashes(quick_hashes, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", REAL)


NAMES = ("Quillfeather", "q.feather@example.com", "q.feather")
TOO_SHORT_OR_LONG = "Must have 8 to 128 characters."
GUESSED = "Is too common."
UNSTORABLE = "Contains a character that cannot be stored."
NAMED = "Must not be the name or the address."


class TestWeakness:
    @pytest.mark.parametrize(
        "password",
        [
            "correct horse battery staple",
            "k7#bq2xm",
            "lowercaseonlyletters",
            "84039275610",
            "ABABABAC",
            " leading and trailing ",
            "žluťoučký kůň",
            "密码密碼パスワード",
            "🐧🐢🦊🐙🦉🐝🦂🐌",
            "abc" * 42 + "ab",
            "Quillfeather's own",
            "myQuillfeather",
            "password-of-quill",
        ],
    )
    def test_these_will_do(self, password):
        assert weakness(password, *NAMES) is None

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("", TOO_SHORT_OR_LONG),
            ("k7#bq2x", TOO_SHORT_OR_LONG),
            ("🐧🐢🦊🐙🦉🐝🦂", TOO_SHORT_OR_LONG),
            ("abc" * 43, TOO_SHORT_OR_LONG),
            ("correct\0horse", UNSTORABLE),
            ("correct\ud800horse", UNSTORABLE),
            ("correct horse\udfff", UNSTORABLE),
            ("password", GUESSED),
            ("PassWord", GUESSED),
            ("12345678", GUESSED),
            ("1234567890", GUESSED),
            ("qwertyuiop", GUESSED),
            ("iloveyou", GUESSED),
            ("trustno1", GUESSED),
            ("football", GUESSED),
            ("aaaaaaaaaaaa", GUESSED),
            ("AaAaAaAaAaAa", GUESSED),
            ("ababababab", GUESSED),
            ("        ", GUESSED),
            ("........ ", GUESSED),
            ("Quillfeather", NAMED),
            ("quillFEATHER", NAMED),
            ("rehtaefllIUQ", NAMED),
            ("q.feather@example.com", NAMED),
            ("Q.Feather@Example.COM", NAMED),
            ("moc.elpmaxe@rehtaef.q", NAMED),
            ("q.feather", NAMED),
            ("rehtaef.q", NAMED),
        ],
    )
    def test_these_will_not(self, password, reason):
        assert weakness(password, *NAMES) == reason

    def test_of_a_name_the_case_does_not_matter_beyond_ascii_either(self):
        assert weakness("STRASSENFEGER", "Straßenfeger") == NAMED

    def test_a_name_that_is_empty_is_in_no_password(self):
        assert weakness("correct horse", "", "") is None


class TestHashes:
    def test_are_argon2id_of_19_mib_and_two_rounds(self):
        parameters = extract_parameters(hashed("correct horse"))

        assert hashed("correct horse").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, 19_456, 2)
        assert (parameters.parallelism, parameters.version) == (1, 19)

    def test_nobodys_takes_as_long_to_check_as_anybodys(self):
        assert extract_parameters(NOBODYS) == extract_parameters(hashed("correct horse"))
        assert len(NOBODYS) == len(hashed("correct horse"))

    def test_two_of_one_password_differ(self):
        assert hashed("correct horse") != hashed("correct horse")

    @pytest.mark.parametrize("password", ["correct horse", "", "žluťoučký kůň", "a\0b", "x" * 128])
    def test_match_their_password(self, password):
        assert matches(hashed(password), password) == Match(good=True, outdated=False)

    @pytest.mark.parametrize(
        ("password", "other"),
        [
            ("correct horse", "Correct horse"),
            ("correct horse", "correct horse "),
            ("correct horse", ""),
            ("a\0b", "a\0c"),
            ("x" * 128, "x" * 127 + "y"),
        ],
    )
    def test_match_no_other(self, password, other):
        assert matches(hashed(password), other) == Match(good=False)

    @pytest.mark.parametrize(
        "stored", [None, "", "correct horse", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$x", "$2b$12$abc"]
    )
    def test_what_is_no_hash_matches_nothing(self, stored):
        assert matches(stored, "correct horse") == Match(good=False)


class TestIsOutdated:
    def test_one_of_today_is_not(self):
        assert not matches(hashed("correct horse"), "correct horse").outdated

    @pytest.mark.parametrize(
        "hasher",
        [
            PasswordHasher(time_cost=1, memory_cost=19_456, parallelism=1),
            PasswordHasher(time_cost=2, memory_cost=8_192, parallelism=1),
            PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=2),
            PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.I),
        ],
        ids=["rounds", "memory", "lanes", "kind"],
    )
    def test_one_made_in_another_way_is_and_still_matches(self, hasher):
        old = hasher.hash("correct horse")

        assert matches(old, "correct horse") == Match(good=True, outdated=True)


class TestForms:
    """A password is the same in every form of Unicode that a keyboard or a system gives it."""

    @pytest.mark.parametrize(
        ("set_as", "typed"),
        [
            ("Z\u00fcrich-Caf\u00e9 77 quay", "Zu\u0308rich-Cafe\u0301 77 quay"),
            ("Zu\u0308rich-Cafe\u0301 77 quay", "Z\u00fcrich-Caf\u00e9 77 quay"),
            ("correct\u00a0horse", "correct horse"),
            ("correct horse", "correct\u3000horse"),
            ("\uac00\uac01 horse battery", "\u1100\u1161\u1100\u1161\u11a8 horse battery"),
            ("\u212bngstr\u00f6m 12", "\u00c5ngstro\u0308m 12"),
        ],
    )
    def test_are_one_password(self, set_as, typed):
        assert matches(hashed(set_as), typed) == Match(good=True, outdated=False)

    @pytest.mark.parametrize(
        ("set_as", "typed"),
        [
            ("Stra\u00dfe am Ring", "Strasse am Ring"),
            ("\uff21BCDEFGH 12", "ABCDEFGH 12"),
            ("\ufb01nal answer", "final answer"),
        ],
    )
    def test_that_only_look_alike_are_others(self, set_as, typed):
        assert not matches(hashed(set_as), typed)

    def test_a_hash_of_what_was_typed_still_works_and_is_outdated(self):
        typed = "Zu\u0308rich-Cafe\u0301 77 quay"
        old = passwords._hasher.hash(typed)

        assert matches(old, typed) == Match(good=True, outdated=True)
        assert not matches(old, "Zurich-Cafe 77 quay")

    def test_length_is_counted_in_characters_as_they_are_read(self):
        assert weakness("e\u0301" * 2 + "lamp 3") is None
        assert weakness("e\u0301" * 7) == "Must have 8 to 128 characters."
        assert weakness("a\u0301bcde " * 18) is None  # 144 as they are typed

    @pytest.mark.parametrize("control", ["\0", "\t", "\n", "\x7f", "\x85", "\ud800"])
    def test_a_new_one_has_no_controls(self, control):
        assert weakness(f"correct{control}horse") == "Contains a character that cannot be stored."


class TestTurns:
    @pytest.fixture(autouse=True)
    def _nobody_waits_for_long(self, monkeypatch):
        monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)

    @pytest.mark.parametrize("work", [lambda: hashed("x"), lambda: matches(NOBODYS, "x"), lambda: matches(None, "x")])
    def test_while_two_are_at_it_a_third_has_to_go_away(self, work):
        with passwords._turn, passwords._turn, pytest.raises(Unavailable):
            work()

    def test_one_beside_another_is_welcome(self):
        with passwords._turn:
            assert hashed("x")

    def test_a_turn_ends_whatever_came_of_it(self):
        for stored in ("nonsense", NOBODYS, None) * 2:
            assert not matches(stored, "x")
        with pytest.raises(UnicodeEncodeError):
            hashed("\ud800")
        with pytest.raises(UnicodeEncodeError):
            hashed("\ud800")

        assert hashed("x")
