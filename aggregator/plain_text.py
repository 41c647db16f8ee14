"""Text from outside, made fit for mails, logs and terminals: what it says is shown, and it does nothing there."""

import re
from unicodedata import category, combining

ELLIPSIS = "…"
_JOINERS = "\u200c\u200d"  # within emoji, and words of Persian and the languages of India
_VISIBLE = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x8E2}  # signs over numbers, which are of the same category
_FILLERS = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}  # letters that show nothing
_LOOSE_JOINERS = re.compile(rf"(?<![^\s{_JOINERS}])[{_JOINERS}]+|[{_JOINERS}]+(?![^\s{_JOINERS}])")
# What would move the cursor, turn the direction, or hide: controls but for line ends and tabs, and directions.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def plain(text: str) -> str:
    """The text in one line, without control characters, direction marks, and what does not show."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    shown = "".join(map(_shown, text))
    return " ".join(_LOOSE_JOINERS.sub("", shown).split())


def escaped(text: str) -> str:
    """The text, with control characters and direction marks written by their numbers, as JSON writes them."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def fitting(text: str, room: int) -> str:
    """The text, shortened with an ellipsis to so many characters; what looks like one character is not cut apart."""
    if len(text) <= room:
        return text
    end = max(room - len(ELLIPSIS), 0)
    whole = end
    while whole > 0 and _belongs_together(text[whole - 1], text[whole]):
        whole -= 1
    return f"{text[: whole or end].rstrip()}{ELLIPSIS}"


def _shown(character: str) -> str:
    kind, code = category(character), ord(character)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    if character in _JOINERS or code in _VISIBLE:
        return character
    return "" if kind in ("Cf", "Cs") or code in _FILLERS else character


def _belongs_together(before: str, after: str) -> bool:
    """Whether two characters are parts of what is shown as one, as far as that can be said of two."""
    flags = all(0x1F1E6 <= ord(each) <= 0x1F1FF for each in (before, after))
    joined = before == _JOINERS[1] or after in _JOINERS
    modifies = category(after) in ("Mn", "Mc", "Me") or combining(after) != 0 or 0x1F3FB <= ord(after) <= 0x1F3FF
    return flags or joined or modifies
