"""Reads numbers, ids, moments and flags from text, in the one spelling that is documented, in ASCII.

Python's own readers take more: `1_0`, digits of other scripts, blanks around, `+5`, `1e3`, `inf`, `urn:uuid:`.
"""

import json
import math
import re
from datetime import datetime
from typing import Any
from uuid import UUID

_is_whole = re.compile(r"-?[0-9]{1,20}").fullmatch  # Python takes its time over thousands of digits
_is_decimal = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,400})?").fullmatch
_is_uuid = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
_is_moment = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
).fullmatch
FLAGS = {"true": True, "1": True, "false": False, "0": False}


class RepeatedKey(ValueError):
    """JSON in which an object has a key twice: whoever reads it may take the one or the other."""


def whole(text: str) -> int:
    """A whole number: digits, perhaps with a minus before them. ValueError for all else."""
    if not _is_whole(text):
        raise ValueError("not a whole number")
    return int(text)


def decimal(text: str) -> float:
    """A number: digits, perhaps with a minus before them and a fraction after a point. ValueError for all else."""
    if not _is_decimal(text):
        raise ValueError("not a number")
    return float(text)


def identifier(text: str) -> UUID:
    """A UUID as RFC 9562 writes it, in small letters or capitals. ValueError for all else."""
    if not _is_uuid(text):
        raise ValueError("not a UUID")
    return UUID(text)


def moment(text: str) -> datetime:
    """A date and a time as RFC 3339 writes them; seconds and the offset may be missing. ValueError for all else."""
    if not _is_moment(text):
        raise ValueError("not a moment")
    return datetime.fromisoformat(text)


def flag(text: str) -> bool:
    """Yes or no: `true` or `false` in whatever case, or `1` or `0`. ValueError for all else."""
    found = FLAGS.get(text.lower()) if text.isascii() else None
    if found is None:
        raise ValueError("neither true nor false")
    return found


def json_value(text: str) -> Any:
    """What JSON text says. ValueError, or RecursionError, where it is none, or can be read in two ways."""
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_key_once)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number out of range")
    return number


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKey("A key stands twice in one object.")
    return found
