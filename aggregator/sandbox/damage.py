"""Answers that are wrong in themselves: said in place of the service, or its own ones spoiled."""

import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain, zip_longest

from aggregator.sandbox.faults import Fault
from aggregator.sandbox.market import Row, number_of, uuid_of
from aggregator.sandbox.service import Route, Service
from aggregator.sandbox.wire import HTML, TEXT, Answer, json_answer

FLOOD = 100_000
DEPTH = 100_000
BOMB_MEGABYTES = 50
PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>\n"
PLAIN = {
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}

# Rows no client may store; {id} becomes an id that no other row has.
WRONG_ROWS = (
    '{"id":{id},"price":"12","items_in_stock":5}',
    '{"id":{id},"price":true,"items_in_stock":5}',
    '{"id":{id},"price":12.5,"items_in_stock":5}',
    '{"id":{id},"price":NaN,"items_in_stock":5}',
    '{"id":{id},"price":1e400,"items_in_stock":5}',
    '{"id":{id},"price":null,"items_in_stock":5}',
    '{"id":{id},"price":{"amount":12},"items_in_stock":5}',
    '{"id":{id},"price":[12],"items_in_stock":5}',
    '{"id":{id},"price":12,"items_in_stock":"many"}',
    '{"id":{id},"price":12,"items_in_stock":false}',
    '{"id":{id},"price":12,"items_in_stock":null}',
    '{"id":{id},"items_in_stock":5}',
    '{"id":{id},"price":12}',
    '{"price":12,"items_in_stock":5}',
    '{"id":null,"price":12,"items_in_stock":5}',
    '{"id":"","price":12,"items_in_stock":5}',
    '{"id":true,"price":12,"items_in_stock":5}',
    '{"id":[{id}],"price":12,"items_in_stock":5}',
    "{}",
    "null",
    "7",
    '"text"',
    "[[{id},12,5]]",
)
NEGATIVE_ROWS = (
    '{"id":{id},"price":-1,"items_in_stock":5}',
    '{"id":{id},"price":12,"items_in_stock":-5}',
    '{"id":{id},"price":-9223372036854775809,"items_in_stock":-1}',
)
HUGE_ROWS = (
    '{"id":{id},"price":1' + "0" * 30 + ',"items_in_stock":5}',
    '{"id":{id},"price":9223372036854775808,"items_in_stock":5}',
    '{"id":{id},"price":' + "9" * 5000 + ',"items_in_stock":5}',
    '{"id":{id},"price":12,"items_in_stock":1' + "0" * 30 + "}",
)


def answer_ahead(fault: Fault, service: Service) -> Answer:
    """What is answered in place of the service, which never hears of the call."""
    if fault.kind == "html":
        return Answer(200, PAGE, HTML)
    if fault.kind == "redirect":
        return Answer(302, b"", TEXT, (("Location", fault.value),))
    status = int(fault.kind)
    headers = (("Retry-After", fault.value),) if fault.value else ()
    if status in PLAIN:
        return Answer(status, PLAIN[status], TEXT, headers)
    return service.refusal(status, "Asked for by a fault", headers)


def spoil(fault: Fault, route: Route, answer: Answer, service: Service) -> Answer:
    """A good answer made wrong; a refusal stays as it is."""
    if answer.status >= 300:
        return answer
    if fault.kind in ANYWHERE:
        return ANYWHERE[fault.kind](answer)
    if route.endpoint != "offers":
        return _spoil_object(fault, answer)
    return Answer(answer.status, _spoil_list(fault, str(route.product_id), answer, service))


def _spoil_object(fault: Fault, answer: Answer) -> Answer:
    content = json.loads(answer.body)
    wrong = {"wrong-root": [content], "wrong-types": dict.fromkeys(content, 12), "empty": {}}
    return json_answer(answer.status, wrong[fault.kind])


def _spoil_list(fault: Fault, product_id: str, answer: Answer, service: Service) -> bytes:
    rows: list[Row] = json.loads(answer.body)
    if fault.kind in LISTS:
        return _compact(LISTS[fault.kind](rows, product_id, service))
    ids = (_compact(_new_id(service, fault.kind, product_id, n)).decode() for n in range(100))
    bad = [row.replace("{id}", next(ids)) for row in ROWS[fault.kind]]
    good = [_compact(row).decode() for row in rows]
    mixed = chain.from_iterable(zip_longest(good, bad))
    return f"[{','.join(row for row in mixed if row is not None)}]".encode()


def _compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _new_id(service: Service, *parts: object) -> str | int:
    make: Callable[..., str | int] = number_of if service.generation == "v1" else uuid_of
    return make("extra", service.seed, *parts)


def _duplicates(rows: list[Row], product_id: str, service: Service) -> list[Row]:
    return [*rows, {**rows[0], "price": int(rows[0]["price"]) + 100}]


def _shared_ids(rows: list[Row], product_id: str, service: Service) -> list[Row]:
    return [{**rows[0], "id": _new_id(service, "shared")}, *rows[1:]]


def _flood(rows: list[Row], product_id: str, service: Service) -> list[Row]:
    extra = FLOOD - len(rows)
    first = number_of("flood", service.seed, product_id) << 20
    numbers: Sequence[int] = range(first, first + extra)
    price = int(rows[0]["price"])
    if service.generation == "v1":
        return rows + [{"id": n, "price": price + n % 997, "items_in_stock": 1 + n % 800} for n in numbers]
    texts = ((n, f"{n:032x}") for n in numbers)
    return rows + [
        {
            "id": f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}",
            "price": price + n % 997,
            "items_in_stock": 1 + n % 800,
        }
        for n, t in texts
    ]


def _empty(rows: list[Row], product_id: str, service: Service) -> list[Row]:
    return []


def _wrong_root(rows: list[Row], product_id: str, service: Service) -> dict[str, list[Row]]:
    return {"offers": rows}


def _broken_json(answer: Answer) -> Answer:
    return Answer(answer.status, answer.body[: len(answer.body) // 2])


def _deep(answer: Answer) -> Answer:
    return Answer(answer.status, b"[" * DEPTH + b"]" * DEPTH)


@cache
def _bomb() -> bytes:
    gzip = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1024 * 1024)
    return b"".join(gzip.compress(zeros) for _ in range(BOMB_MEGABYTES)) + gzip.flush()


def _gzip(answer: Answer) -> Answer:
    return Answer(answer.status, _bomb(), headers=(("Content-Encoding", "gzip"),))


ANYWHERE: dict[str, Callable[[Answer], Answer]] = {"broken-json": _broken_json, "deep": _deep, "gzip": _gzip}
LISTS: dict[str, Callable[[list[Row], str, Service], object]] = {
    "duplicates": _duplicates,
    "shared-ids": _shared_ids,
    "flood": _flood,
    "empty": _empty,
    "wrong-root": _wrong_root,
}
ROWS = {"wrong-types": WRONG_ROWS, "negative": NEGATIVE_ROWS, "huge": HUGE_ROWS}
