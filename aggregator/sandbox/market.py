"""The market: which shops offer a product, at what price and how many, at any tick.

Everything here is a pure function of the seed, the product and the number of the tick, so a restarted
sandbox goes on with the same walk, and any moment can be computed without those before it.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import unpack
from uuid import UUID

Row = dict[str, str | int]

FEWEST_OFFERS, MOST_OFFERS = 4, 12
LOWEST_BASE, HIGHEST_BASE = 2_000, 400_000
SMALLEST_STOCK, LARGEST_STOCK = 23, 832

# The channel of the noise that moves all offers of a product together; those below it belong to the places.
TIDE = MOST_OFFERS
# A first-generation offer is sold out for the last quarter of its stay, then it is stocked again.
V1_SELLING_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Habits:
    """How much a market moves.

    The noise has a slow, a middle and a quick part (ticks between knots, weight): it looks like a random walk, yet
    never strays from the base.
    """

    shop: float  # How far each of these may pull a price from the base, as a share of it.
    tide: float
    own: float
    octaves: tuple[tuple[int, float], ...]
    haste: int = 1  # Offers are sold out so many times sooner.
    sales: float = 0.0  # The share of the time in which an offer is on sale.


# As the real service does it: prices stay within 7 % of the base, and move a little with every tick.
CALM = Habits(0.025, 0.025, 0.02, ((720, 0.5), (90, 0.3), (7, 0.2)))
# For people who look at a demo: it has tides, sales and sell-outs that show within minutes.
LIVELY = Habits(0.04, 0.09, 0.03, ((160, 0.5), (30, 0.3), (5, 0.2)), haste=4, sales=0.12)
SALE_TICKS = 16
SMALLEST_DISCOUNT, LARGEST_DISCOUNT = 0.06, 0.22


@dataclass(frozen=True, slots=True)
class Profile:
    """What never changes about a product's market."""

    base: int
    phase: int  # Keeps the products out of step with each other.
    first_number: int  # First-generation offers are numbered from here.
    periods: tuple[int, ...]  # For each place in the list, the ticks an offer stays in it on average.


@dataclass(frozen=True, slots=True)
class Stay:
    """One shop's offer in one place of the list, from its first tick until it is sold out."""

    id: str
    delay: float  # The share of the period it arrives late.
    stock: int
    haste: float  # Below 0 sells slowly at first, above 0 quickly.
    shop: float  # From -1 (a cheap shop) to 1 (a dear one).
    lingers: bool  # Its last tick shows it with nothing in stock.


def _digest(*parts: object) -> bytes:
    return blake2b("|".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()


def share_of(*parts: object) -> float:
    """A number from 0 up to 1 that depends on the parts alone."""
    return float(int.from_bytes(_digest(*parts)[:6]) / 2**48)


def uuid_of(*parts: object) -> str:
    """128 random bits in UUID form, of no RFC 4122 version, that depend on the parts alone."""
    return str(UUID(bytes=_digest(*parts)[:16]))


def number_of(*parts: object) -> int:
    """A whole number that depends on the parts alone, as the first generation numbers its offers."""
    return int.from_bytes(_digest(*parts)[:4]) + 2**40


@lru_cache(maxsize=1 << 16)
def profile_of(seed: int, product_id: str) -> Profile:
    """The base price and the places in the list of a product."""
    bits = unpack("<32H", _digest("profile", seed, product_id))
    count = FEWEST_OFFERS + (bits[0] + bits[1]) * (MOST_OFFERS - FEWEST_OFFERS + 1) // 2**17
    base = round(LOWEST_BASE * (HIGHEST_BASE / LOWEST_BASE) ** (bits[2] / 2**16))
    first_number = (bits[3] << 16 | bits[4]) * 16 + 1
    return Profile(base, bits[5], first_number, tuple(40 + bits[8 + place] % 321 for place in range(count)))


@lru_cache(maxsize=1 << 17)
def _stay(seed: int, product_id: str, place: int, turn: int) -> Stay:
    digest = _digest("stay", seed, product_id, place, turn)
    bits = unpack("<8H", digest[16:32])
    return Stay(
        id=str(UUID(bytes=digest[:16])),
        delay=bits[0] / 2**17,
        stock=SMALLEST_STOCK + bits[1] % (LARGEST_STOCK - SMALLEST_STOCK + 1),
        haste=bits[2] / 2**15 - 1,
        shop=bits[3] / 2**15 - 1,
        lingers=bits[4] % 2 == 0,
    )


@lru_cache(maxsize=1 << 17)
def _knot(seed: int, product_id: str, period: int, index: int) -> tuple[int, ...]:
    return unpack("<32H", _digest("knot", seed, product_id, period, index))


def _noise(seed: int, product_id: str, tick: int, octaves: tuple[tuple[int, float], ...]) -> list[float]:
    """For every place and for the tide a number from -1 to 1 that moves a little with each tick."""
    channels = [-1.0] * (TIDE + 1)
    for period, weight in octaves:
        index, step = divmod(tick, period)
        way = step / period
        right = way * way * (3 - 2 * way) * weight / 32767.5
        left = weight / 32767.5 - right
        before, after = _knot(seed, product_id, period, index), _knot(seed, product_id, period, index + 1)
        for channel in range(TIDE + 1):
            channels[channel] += before[channel] * left + after[channel] * right
    return channels


def _staying(seed: int, product_id: str, place: int, period: int, tick: int) -> tuple[Stay, int, int]:
    """Who is in this place now, for how many ticks already, and for how many in all."""
    turn = tick // period
    stay = _stay(seed, product_id, place, turn)
    start = turn * period + int(stay.delay * period)
    if tick < start:
        turn -= 1
        end, stay = start, _stay(seed, product_id, place, turn)
        start = turn * period + int(stay.delay * period)
    else:
        following = _stay(seed, product_id, place, turn + 1)
        end = (turn + 1) * period + int(following.delay * period)
    return stay, tick - start, end - start


def _left_in_stock(stay: Stay, sold: float) -> int:
    """How many are left when the given share of the selling time is over; at least one until all of it is."""
    if sold >= 1:
        return 0
    gone = sold + stay.haste * math.sin(2 * math.pi * sold) / (2 * math.pi)
    return max(1, round(stay.stock * (1 - gone)))


def _v2_stock(stay: Stay, age: int, life: int) -> int:
    left = _left_in_stock(stay, age / (life - 1))
    return left if stay.lingers else max(1, left)


def _v1_stock(stay: Stay, age: int, life: int) -> int:
    return _left_in_stock(stay, age / (V1_SELLING_SHARE * (life - 1)))


def _discount(seed: int, product_id: str, place: int, tick: int, sales: float) -> float:
    """What a sale takes off a price at this tick, as a share of it."""
    chance = share_of("sale", seed, product_id, place, tick // SALE_TICKS) if sales else 1.0
    return LARGEST_DISCOUNT - (LARGEST_DISCOUNT - SMALLEST_DISCOUNT) * chance / sales if chance < sales else 0.0


def offers_at(
    seed: int, product_id: str, tick: int, generation: str = "v2", base: int | None = None, habits: Habits = CALM
) -> list[Row]:
    """The offers of a product at a tick, in the form and with the habits of the generation.

    Prices lie around base, in minor units, or else around one that is made up from the id.
    """
    profile = profile_of(seed, product_id)
    base = profile.base if base is None else base
    tick += profile.phase
    noise = _noise(seed, product_id, tick, habits.octaves)
    rows: list[Row] = []
    for place, usual in enumerate(profile.periods):
        period = max(usual // habits.haste, 4)
        stay, age, life = _staying(seed, product_id, place, period, tick)
        if generation == "v1":
            offer_id: str | int = profile.first_number + place
            stock = _v1_stock(stay, age, life)
            # The offer keeps its id when it is stocked again, so it is still the same shop's.
            shop = _stay(seed, product_id, place, 0).shop
        else:
            offer_id, stock, shop = stay.id, _v2_stock(stay, age, life), stay.shop
        level = 1 + habits.tide * noise[TIDE] + habits.shop * shop + habits.own * noise[place]
        level *= 1 - _discount(seed, product_id, place, tick, habits.sales)
        # Odd and even prices take turns, so that no price is ever the same for two ticks running.
        price = 2 * round(base * level / 2) + (tick + place) % 2
        rows.append({"id": offer_id, "price": price, "items_in_stock": stock})
    return rows
