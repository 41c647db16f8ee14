"""Walks of a price, and which messages an alert that is silent for some time after each of them has to send.

A walk says what is so from a minute on: the lowest price, or the cheapest offer; None while nothing is in stock.
The alert is made at minute 0. A message has a minute, the price it is compared with, and the price.
"""

from typing import Any, NamedTuple

from aggregator.models import AlertKind

K = AlertKind
SILENCE = 210  # seconds: a message at minute 1 is followed by silence until 4.5


class Walk(NamedTuple):
    """A kind of alert, a walk, and the messages."""

    kind: AlertKind
    fields: dict[str, Any]
    steps: dict[int, Any]
    messages: list[tuple[float, int | None, int | None]]


def _all(kind: AlertKind, *rows: tuple[dict[int, Any], list[tuple[float, Any, Any]]], **fields: Any) -> list[Walk]:
    return [Walk(kind, fields, steps, messages) for steps, messages in rows]


WALKS = [
    *_all(
        K.NEW_LOW,
        ({0: 100, 1: 90, 2: 80}, [(1, 100, 90), (4.5, 90, 80)]),
        ({0: 100, 1: 90, 2: 80, 3: 85}, [(1, 100, 90), (4.5, 90, 85)]),  # lower than what was sent, still
        ({0: 100, 1: 90, 2: 80, 3: 95}, [(1, 100, 90)]),  # it is over
        ({0: 100, 1: 90, 2: 80, 3: 95, 5: 85}, [(1, 100, 90), (5, 95, 85)]),  # nobody has heard of 80
        ({0: 100, 1: 90, 2: 80, 3: 95, 5: 92}, [(1, 100, 90)]),
        ({0: 100, 1: 90, 2: 80, 3: None}, [(1, 100, 90)]),
        ({0: 100, 1: 90, 2: 80, 3: None, 5: 85}, [(1, 100, 90), (5, None, 85)]),
        ({0: 100, 1: 90, 2: 80, 5: 70}, [(1, 100, 90), (4.5, 90, 80), (8, 80, 70)]),  # the silence begins again
        ({0: 100, 1: 90, 2: 95, 5: 85}, [(1, 100, 90), (5, 95, 85)]),  # nothing was missed
    ),
    *_all(K.NEW_LOW, ({0: 100, 1: 90, 2: 80, 3: 85}, [(1, 100, 90), (4.5, 90, 85)]), days=1),
    *_all(
        K.NEW_HIGH,
        ({0: 100, 1: 110, 2: 120}, [(1, 100, 110), (4.5, 110, 120)]),
        ({0: 100, 1: 110, 2: 120, 3: 115}, [(1, 100, 110), (4.5, 110, 115)]),
        ({0: 100, 1: 110, 2: 120, 3: 105, 5: 115}, [(1, 100, 110), (5, 105, 115)]),
        ({0: 100, 1: 110, 2: 120, 3: 105, 5: 108}, [(1, 100, 110)]),
    ),
    *_all(
        K.BELOW,
        ({0: 120, 1: 90, 2: 80}, [(1, 120, 90), (4.5, 90, 80)]),
        ({0: 120, 1: 90, 2: 80, 3: 95}, [(1, 120, 90)]),
        ({0: 120, 1: 90, 2: 110, 3: 95}, [(1, 120, 90), (4.5, 90, 95)]),  # above it in between, and below it again
        ({0: 120, 1: 90, 2: 80, 3: 110}, [(1, 120, 90)]),
        ({0: 120, 1: 90, 2: 80, 3: 110, 5: 95}, [(1, 120, 90), (5, 110, 95)]),
        ({0: 120, 1: 90, 2: 80, 3: None, 5: 80}, [(1, 120, 90), (5, None, 80)]),
        target=100,
    ),
    *_all(
        K.CHANGE,
        ({0: 100, 1: 110, 2: 121}, [(1, 100, 110), (4.5, 110, 121)]),
        ({0: 100, 1: 110, 2: 121, 3: 112}, [(1, 100, 110)]),
        ({0: 100, 1: 110, 2: 121, 3: 112, 5: 122}, [(1, 100, 110), (5, 112, 122)]),
        percent=10.0,
    ),
    *_all(
        K.ANY_CHANGE,
        ({0: 100, 1: 101, 2: 102}, [(1, 100, 101), (4.5, 101, 102)]),
        ({0: 100, 1: 101, 2: 102, 3: 101}, [(1, 100, 101)]),  # there and back again
        ({0: 100, 1: 101, 2: None, 3: 102}, [(1, 100, 101), (4.5, 101, 102)]),
        ({0: 100, 1: 101, 2: 102, 3: None, 5: 102}, [(1, 100, 101), (5, None, 102)]),
    ),
    *_all(
        K.BACK_IN_STOCK,
        ({0: None, 1: 100, 2: None, 3: 100}, [(1, None, 100), (4.5, None, 100)]),
        ({0: None, 1: 100, 2: None, 3: 100, 4: 110}, [(1, None, 100), (4.5, None, 110)]),
        ({0: None, 1: 100, 2: None, 3: 100, 4: None}, [(1, None, 100)]),
        ({0: None, 1: 100, 2: None, 3: 100, 4: None, 5: 90}, [(1, None, 100), (5, None, 90)]),
        ({0: None, 1: 100, 2: None, 5: 100}, [(1, None, 100), (5, None, 100)]),
        ({0: None, 1: 100, 2: 110, 5: 120}, [(1, None, 100)]),
    ),
    *_all(
        K.SOLD_OUT,
        ({0: 100, 1: None, 2: 90, 3: None}, [(1, 100, None), (4.5, 90, None)]),
        ({0: 100, 1: None, 2: 90, 3: None, 4: 80}, [(1, 100, None)]),
        ({0: 100, 1: None, 2: 90, 3: None, 4: 80, 5: None}, [(1, 100, None), (5, 80, None)]),
        ({0: 100, 1: None, 2: 90, 5: None}, [(1, 100, None), (5, 90, None)]),
    ),
    *_all(  # its offers cost 100, the cheapest one 90
        K.CHEAPEST_OFFER,
        ({0: "a", 1: "b", 2: "c"}, [(1, 90, 90), (4.5, 90, 90)]),
        ({0: "a", 1: "b", 2: "c", 3: "b"}, [(1, 90, 90)]),
        ({0: "a", 1: "b", 2: None, 3: "c"}, [(1, 90, 90), (4.5, 90, 90)]),
        ({0: "a", 1: "b", 2: "c", 3: None}, [(1, 90, 90)]),
        ({0: "a", 1: "b", 2: "c", 3: None, 5: "c"}, [(1, 90, 90), (5, None, 90)]),
        ({0: "a", 1: "b", 2: None, 3: "b"}, [(1, 90, 90)]),
    ),
]
IDS = [f"{walk.kind}-{'-'.join(map(str, walk.steps.values()))}" for walk in WALKS]
