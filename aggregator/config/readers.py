"""Readers of settings: each makes a value of a text, or raises Unusable with words that do not repeat the text."""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

T = TypeVar("T")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Unusable(ValueError):
    """A setting that cannot work; says why, and never what it was."""


def text(value: str) -> str:
    """Any text."""
    return value


def header_value(value: str) -> str:
    """What can be sent as the value of an HTTP header."""
    if not (value.isascii() and value.isprintable()):
        raise Unusable("It must consist of printable ASCII characters.")
    return value


def one_of(*words: str) -> Callable[[str], str]:
    """One of these words."""

    def read(value: str) -> str:
        if value not in words:
            raise Unusable(f"It must be {', '.join(words[:-1])} or {words[-1]}.")
        return value

    return read


def flag(value: str) -> bool:
    """True or false, in one of the usual words."""
    if value.lower() not in YES + NO:
        raise Unusable("It must be true or false.")
    return value.lower() in YES


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number in ASCII digits, without a sign: Python's own int() reads much more."""

    def read(value: str) -> int:
        if not (re.fullmatch("[0-9]{1,18}", value) and low <= int(value) <= high):
            raise Unusable(f"It must be a whole number from {low} to {high}.")
        return int(value)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A number in ASCII digits, with decimals or without."""

    def read(value: str) -> float:
        if not (re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value) and low <= float(value) <= high):
            raise Unusable(f"It must be a number from {low:g} to {high:g}.")
        return float(value)

    return read


def words(value: str) -> tuple[str, ...]:
    """A list of words, between blanks or commas."""
    return tuple(value.replace(",", " ").split())


def keys(value: str) -> tuple[str, ...]:
    """A list of keys, between commas."""
    return tuple(key for part in value.split(",") if (key := part.strip()))


def each(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A list of words, each of which read takes."""
    return lambda value: tuple(read(word) for word in words(value))


def currency(value: str) -> str:
    """Three letters of ISO 4217."""
    if not re.fullmatch("[A-Z]{3}", value):
        raise Unusable("It must be three capital letters of ISO 4217, such as EUR.")
    return value


def timezone(value: str) -> str:
    """A time zone that this machine knows."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unusable("Not a time zone, such as Europe/Prague.") from None
    return value


def writable_folder(path: Path) -> None:
    """Make sure that there is such a folder and that files can be made in it. Unusable where they cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise Unusable(f"No file can be made in the folder it names: {error.strerror}.") from None
