"""How texts are compared and sorted: made here, because each database, and each of its locales, has ways of its own."""

import re
from functools import lru_cache
from unicodedata import category, lookup, name, normalize

KEPT_LETTERS = 10_000  # of all scripts; each is looked up once
SORT_KEY_LENGTH = 600  # characters: those of a name twice, with room for what stands between
_FOLDED = 255  # characters of a sort key before the text itself, so that it fits into an index
KEY_END = "\x1f"  # comes before all that a folded text can go on with
# Letters that Unicode takes for letters of their own, by what people type in their place.
_PLAINLY = "æ=ae œ=oe ß=ss þ=th ð=d ı=i ȷ=j ŋ=n ĸ=k ƿ=w ȝ=y ǝ=e ə=e ɛ=e ɔ=o ʒ=z ʃ=s"  # noqa: RUF001
_PLAIN = dict(pair.split("=") for pair in _PLAINLY.split())
# What is not seen, or only stretches a word: fillers, the Arabic tatweel, and letters that are apostrophes.
_IGNORED = {*map(chr, (0x115F, 0x1160, 0x3164, 0xFFA0, 0x0640)), *map(chr, range(0x02B9, 0x02D2))}
_ALPHABETS = ("LATIN ", "CYRILLIC ")  # where a letter WITH something is that letter to those who have no key for it
# Signs: but for a point or a comma between digits, they do not count where something is sorted.
_signs = re.compile(r"[^\w\s.,]|_|(?<!\d)[.,]|[.,](?!\d)")


def folded(text: str) -> str:
    """A text without regard to case, to the form of its characters, and to what is not seen."""
    if text.isascii():
        return text.casefold()
    return "".join(letter for letter in normalize("NFKC", text).casefold() if category(letter) != "Cf")


def searchable(text: str) -> str:
    """A text as it is searched for: folded, without accents, in letters that are on most keyboards."""
    return text.lower() if text.isascii() else "".join(map(_plain, text))


def sort_key(text: str) -> str:
    """What a text is sorted by, in the order of code points: its letters and digits first, then all of it."""
    return " ".join(_signs.sub("", searchable(text)).split())[:_FOLDED] + KEY_END + text


@lru_cache(KEPT_LETTERS)
def _plain(letter: str) -> str:
    return "".join(map(_without_marks, "".join(filter(_counts, normalize("NFKD", letter))).casefold()))


def _counts(letter: str) -> bool:
    kind = category(letter)
    return kind[0] != "M" and kind != "Cf" and letter not in _IGNORED


def _without_marks(letter: str) -> str:
    """The letter that another one is made of where Unicode does not say so, but its name does: "o with stroke"."""
    if letter in _PLAIN:
        return _PLAIN[letter]
    base, is_marked, _ = name(letter, "").partition(" WITH ")
    if is_marked and base.startswith(_ALPHABETS):
        try:
            return _plain(lookup(base))
        except KeyError:
            return letter
    return letter
