"""The fields of a product in a row of a file: the value of each, or why it cannot be one."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aggregator import literals
from aggregator.models import MAX_PRICE, MAX_STOCK
from aggregator.models.catalog import BRAND_LENGTH, CATEGORY_LENGTH, DESCRIPTION_LENGTH, NAME_LENGTH
from aggregator.text import composed

SHOWN_OF_CATEGORY = {"id", "name", "slug"}
# Bytes of a file that are not of its encoding become these, so that they cost their row and no other: those that
# are not UTF-8 as "surrogateescape" has it, those of other encodings a mark.
MARK = "\udc00"
_is_not_utf8 = re.compile("[\udc80-\udcff]").search
_unstorable = re.compile("[\0\ud800-\udfff]").search


@dataclass(frozen=True)
class CategoryName:
    """What says which category: its id, its slug, or both."""

    id: UUID | None = None
    slug: str | None = None

    def __str__(self) -> str:
        """The one that people know it by."""
        return self.slug or str(self.id)


def is_undecodable(text: str) -> bool:
    """Whether there is something in a text that is not in the encoding of its file."""
    return MARK in text or _is_not_utf8(text) is not None


def from_cell(name: str, cell: str) -> Any:
    """The value of a cell. An empty one is no value, except where a text may be empty."""
    if cell == "" and name not in ("name", "description"):
        return None
    try:
        if name in ("price", "stock"):
            return literals.whole(cell)
        return literals.decimal(cell) if name == "rating" else cell
    except ValueError:
        return cell  # refused as what it is


def _nullable(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else parse(value)


def _text(minimum: int, maximum: int) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        value = composed(value) if isinstance(value, str) else value
        if not isinstance(value, str) or not minimum <= len(value) <= maximum:
            raise ValueError(f"Must be a text of {minimum} to {maximum} characters.")
        if not value.isascii() and is_undecodable(value):
            raise ValueError("Is not in the encoding of the file." if MARK in value else "Is not UTF-8.")
        if _unstorable(value):
            raise ValueError("Contains a character that cannot be stored.")
        return value

    return parse


def _number(maximum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        whole = type(value) is float and value.is_integer()  # JSON has one kind of number: 100.0 is 100
        if not (whole or type(value) is int) or not 0 <= value <= maximum:
            raise ValueError(f"Must be a whole number from 0 to {maximum}.")
        return int(value)

    return parse


def _rating(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 5:
        raise ValueError("Must be a number from 0 to 5.")
    return float(value)


def _id(value: Any) -> UUID:
    try:
        return literals.identifier(value)
    except (ValueError, TypeError):
        raise ValueError("Must be a UUID.") from None


def _category(value: Any) -> CategoryName:
    """What says which category: its slug, its id, or an object with one of these, as the API shows a product's."""
    if not isinstance(value, dict):
        text = _text(1, CATEGORY_LENGTH)(value)
        try:
            return CategoryName(id=literals.identifier(text))  # a slug never looks like one
        except ValueError:
            return CategoryName(slug=text)
    if unknown := sorted(value.keys() - SHOWN_OF_CATEGORY):
        raise ValueError(f"{unknown[0][:80]!r} is unknown.")
    if not {"id", "slug"} & value.keys():
        raise ValueError("It has neither an id nor a slug.")
    if "name" in value:
        _text(1, CATEGORY_LENGTH)(value["name"])
    slug = _text(1, CATEGORY_LENGTH)(value["slug"]) if "slug" in value else None
    return CategoryName(_id(value["id"]) if "id" in value else None, slug)


FIELDS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "name": _text(1, NAME_LENGTH),
    "description": _text(0, DESCRIPTION_LENGTH),
    "brand": _nullable(_text(0, BRAND_LENGTH)),
    "category": _nullable(_category),
    "category_id": _nullable(lambda value: CategoryName(id=_id(value))),
    "price": _nullable(_number(MAX_PRICE)),
    "stock": _number(MAX_STOCK),
    "rating": _nullable(_rating),
}
