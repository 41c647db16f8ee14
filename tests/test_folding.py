"""How texts are compared: for searches, for names that must differ, and in the order of a list."""

import pytest

from aggregator.folding import KEY_END, SORT_KEY_LENGTH, folded, searchable, sort_key

NAMES = ["Banana", "apple", "Éclair", "eclair", "Zebra", "Ägypten", "co-op", "coop", "_x"]
ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


class TestSearchable:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Crème BRÛLÉE", "creme brulee"),
            ("Rødvin", "rodvin"),
            ("Łódź", "lodz"),
            ("Đuro", "duro"),
            ("Œuvre ÆØ", "oeuvre aeo"),
            ("Kılıç İstanbul", "kilic istanbul"),
            ("straße STRASSE ẞ", "strasse strasse ss"),
            ("Þór Ðə ħŧŋ", "thor de htn"),
            ("Ｆｅｒｎ ﬁne Ⅳ ²", "fern fine iv 2"),
            ("ёлка Ґанок қазақ", "елка ганок казак"),
            ("Ǿ ƀ ɗ ȿ", "o b d s"),
            ("Hawaiʻi", "hawaii"),
            ("한국어 東京", "한국어 東京"),
        ],
    )
    def test_has_no_case_no_accents_and_plain_letters(self, text, expected):
        assert searchable(text) == searchable(expected)
        assert searchable(text).isascii() == expected.isascii()

    @pytest.mark.parametrize("unseen", ["\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u034f", "\ufe0f"])
    def test_nothing_that_is_not_seen_makes_a_difference(self, unseen):
        assert searchable(f"Fern{unseen}seher") == "fernseher"

    def test_of_what_is_plain_is_the_same(self):
        assert [letter for letter in ALL if searchable(searchable(letter)) != searchable(letter)] == []


class TestFolded:
    def test_has_no_case_and_one_form_and_keeps_accents(self):
        assert folded("E\u0301CLAIR ＡＢ") == folded("éclair ab") == "éclair ab"
        assert folded("Eclair") != folded("Éclair")

    @pytest.mark.parametrize("unseen", ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff"])
    def test_leaves_out_what_is_not_seen(self, unseen):
        assert folded(f"Cas{unseen}tera") == "castera"

    def test_of_what_is_folded_is_the_same(self):
        assert [letter for letter in ALL if folded(folded(letter)) != folded(letter)] == []


class TestSortKey:
    def test_sorts_as_people_expect(self):
        ordered = ["Ägypten", "apple", "Banana", "co-op", "coop", "eclair", "Éclair", "_x", "Zebra"]
        assert sorted(NAMES, key=sort_key) == ordered

    def test_shorter_names_come_first_and_fractions_stay_numbers(self):
        names = ["1,5 mm", "1.5 mm", "15 mm", "New York", "Newark", "usb c", "USB-C cable", "(Used) lamp"]
        assert sorted(sorted(names), key=sort_key) == names

    def test_is_a_different_one_for_each_name(self):
        names = ["coop", "co-op", "Coop", "co op", "cöop", "", "-", "--"]
        assert len({sort_key(name) for name in names}) == len(names)
        assert all(sort_key(name).endswith(f"{KEY_END}{name}") for name in names)

    def test_has_room_whatever_the_name(self):
        longest = "\ufdfa" * 255  # each is eighteen letters
        assert len(sort_key(longest)) <= SORT_KEY_LENGTH
