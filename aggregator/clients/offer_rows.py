"""Reads a list of offers with suspicion: what cannot be right is left out, counted, and harms no other row."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_PRICE = 10**12
MAX_STOCK = 10**9
MAX_SHOWN = 60  # characters of a value that was rejected
_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
# What stands before a row, its id, price and stock: as the service writes it, up to the brace that closes.
_plain_row = re.compile(
    rb'([\[, ]*){"id": ?"?((?<=")[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=")|(?<!")[1-9][0-9]{,17}(?!"))"?, ?'
    rb'"price": ?(0|[1-9][0-9]{,11}), ?"items_in_stock": ?(0|[1-9][0-9]{,8})'
).fullmatch

Row = tuple[int, int]  # price and items_in_stock


@dataclass(slots=True)
class OfferRows:
    """The good rows of an answer as {id: (price, items_in_stock)}, and what was wrong with the others."""

    rows: dict[str, Row] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    rejected_ids: set[str] = field(default_factory=set)
    # False where a row does not say which offer it was: then no offer can be said to be missing.
    complete: bool = True
    # The first row that was rejected: which offer it was about, where it says so, and what is wrong with it.
    example: tuple[str | None, str] | None = field(default=None, compare=False)
    # Where only the rows that changed were read: as they were before.
    before: dict[str, Row] | None = None

    @property
    def rejection(self) -> tuple[int, str | None, str | None]:
        """How many rows were rejected, and of the first one why, and which offer it was about."""
        upstream_id, reason = self.example or (None, None)
        return sum(self.rejected.values()), reason, upstream_id


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_refuse_duplicate_keys, parse_constant=_refuse_constant).decode
# NaN is not JSON, and yet what some libraries write for a number that is missing: it costs its row.
_decode_rows = json.JSONDecoder(object_pairs_hook=_refuse_duplicate_keys, parse_constant=float).decode


def parse_json(body: bytes, decode: Callable[[str], Any] = _decode) -> Any:
    """The JSON value in body. ValueError for anything that is not plain, sane JSON."""
    try:
        return decode(body.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_offers(body: bytes) -> OfferRows:
    """The offers in body. ValueError if it is not a JSON array: then nothing in it can be relied upon."""
    elements = parse_json(body, _decode_rows)
    if type(elements) is not list:
        raise ValueError("not a list")
    offers = OfferRows()
    for element in elements:
        _add(offers, element)
    for upstream_id in offers.rejected_ids:
        offers.rows.pop(upstream_id, None)
    return offers


def is_plain(body: bytes, offers: OfferRows) -> bool:
    """Whether the answer is nothing but good rows, one for each brace that closes; changed_rows() relies on it."""
    return not offers.rejected and len(offers.rows) == body.count(b"}")


def changed_rows(before: bytes, after: bytes) -> OfferRows | None:
    """The rows in which two answers differ, as they were and as they are; None where it takes more than that.

    before is_plain(). Then after is, too, if as many braces close in it and each row that differs is written in
    the plain form and has the same id in the same place: no other row need be read.
    """
    was, now = before.split(b"}"), after.split(b"}")
    pairs = [(old, new) for old, new in zip(was, now, strict=False) if old != new]
    if len(was) != len(now) or 2 * len(pairs) > len(was):
        return None
    old_rows, new_rows = {}, {}
    for old, new in pairs:
        old_row, new_row = _plain_row(old), _plain_row(new)
        if old_row is None or new_row is None or old_row.group(1, 2) != new_row.group(1, 2):
            return None
        upstream_id = old_row[2].decode()
        old_rows[upstream_id] = int(old_row[3]), int(old_row[4])
        new_rows[upstream_id] = int(new_row[3]), int(new_row[4])
    return OfferRows(new_rows, before=old_rows)


def _add(offers: OfferRows, element: Any) -> None:
    upstream_id = _upstream_id(element.get("id")) if type(element) is dict else None
    if upstream_id is None:
        _reject(offers, "bad id", None, element.get("id") if type(element) is dict else element)
        offers.complete = False
        return
    price, stock = element.get("price"), element.get("items_in_stock")
    # Not isinstance: to Python a bool is an int, and to us it is not a price.
    price = price if type(price) is int else _whole(price)
    stock = stock if type(stock) is int else _whole(stock)
    if not 0 <= price <= MAX_PRICE:
        _reject(offers, "bad price", upstream_id, element.get("price"))
        offers.rejected_ids.add(upstream_id)
    elif not 0 <= stock <= MAX_STOCK:
        _reject(offers, "bad stock", upstream_id, element.get("items_in_stock"))
        offers.rejected_ids.add(upstream_id)
    else:
        if offers.rows.get(upstream_id, (price, stock)) != (price, stock):
            _reject(offers, "listed twice", upstream_id, price)  # and the last one counts
        offers.rows[upstream_id] = (price, stock)


def _whole(value: Any) -> int:
    """The whole number that a float is, such as 2100.0; -1 for what is none."""
    return int(value) if type(value) is float and value.is_integer() else -1


def _reject(offers: OfferRows, reason: str, upstream_id: str | None, value: Any) -> None:
    offers.rejected[reason] = offers.rejected.get(reason, 0) + 1
    if offers.example is None:
        offers.example = upstream_id, f"{reason}: {json.dumps(value)[:MAX_SHOWN]}"


def _upstream_id(value: Any) -> str | None:
    """The offer's id as text: a UUID of any version, or a number, as the first generation has them."""
    if type(value) is str and _is_uuid(value):
        return value.lower()
    return str(value) if type(value) is int and 0 <= value < 2**63 else None
