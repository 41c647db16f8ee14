"""Text as it is kept and compared: equal text in two spellings of Unicode is one text."""

from unicodedata import category, normalize


def composed(text: str) -> str:
    """The text with each letter and its accents as one character, where there is one (NFC)."""
    return text if text.isascii() else normalize("NFC", text)


def opaque(password: str) -> str:
    """A password as it is hashed, whatever keyboard it comes from: RFC 8265's OpaqueString.

    Other spaces become a space, and the normal form is NFC. Case stays, and so do characters that have no meaning yet.
    """
    if password.isascii():
        return password
    return normalize("NFC", "".join(" " if category(one) == "Zs" else one for one in password))


def has_control(text: str) -> bool:
    """Whether there is a character in the text that no keyboard types: a control, or half of a surrogate pair."""
    return any(category(one) in ("Cc", "Cs") for one in text)
