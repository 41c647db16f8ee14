"""Text from outside, for mails, logs and terminals."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import logs
from aggregator.plain_text import escaped, fitting, plain

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class TestPlain:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Moka pot", "Moka pot"),
            ("  a\t b\r\n\x00c\x1b[31m\x7f\x85d\u2028e ", "a b c [31m d e"),
            (f"Tee{BIDI}pot", "Teepot"),
            ("in\u00advis\u200bib\u2060le\ufeff \U000e0041\u3164", "invisible"),
            ("\u200dab\u200c\u200d c\u200d", "ab c"),
            ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # Persian needs it
            ("👩\u200d👧 ❤️", "👩\u200d👧 ❤️"),
            ("شاي 漢字 Kávovar", "شاي 漢字 Kávovar"),
            ("half\ud800", "half"),
        ],
    )
    def test_keeps_what_shows_and_nothing_that_acts(self, text, expected):
        assert plain(text) == expected

    @given(st.text())
    def test_is_the_same_when_done_again(self, text):
        assert plain(plain(text)) == plain(text)


class TestFitting:
    @pytest.mark.parametrize(
        ("text", "room", "expected"),
        [
            ("Kettle", 6, "Kettle"),
            ("Kettles", 6, "Kettl…"),
            ("A b cde", 5, "A b…"),
            ("cafe\u0301s", 5, "caf…"),  # e and its accent go together
            ("ab👩\u200d👧\u200d👦", 5, "ab…"),
            ("ab👍🏽c", 4, "ab…"),
            ("ab🇨🇿🇩🇪", 4, "ab…"),
            ("e" + "\u0301" * 9, 5, "e\u0301\u0301\u0301…"),  # there is nowhere to cut
        ],
    )
    def test_cuts_no_character_apart(self, text, room, expected):
        assert fitting(text, room) == expected

    @given(st.text(), st.integers(1, 100))
    def test_fits(self, text, room):
        assert len(fitting(text, room)) <= room


class TestLogLines:
    TEXT = f"a{BIDI}\x1b[2J\x9b\nb"

    def test_in_json_are_what_was_logged_and_hold_nothing_raw(self):
        line = logs._renderer("json")(None, "info", {"event": "request", "path": self.TEXT})

        assert json.loads(line)["path"] == self.TEXT
        assert line.isascii()

    def test_for_the_eye_hold_nothing_that_a_terminal_acts_on(self):
        line = logs._renderer("text")(None, "info", {"event": "request", "path": self.TEXT, "more": [self.TEXT]})

        assert escaped(str(line)) == str(line)
        assert "u202e" in line
