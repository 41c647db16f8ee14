"""When an alert goes off: one rule for each kind, and what they have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import gt, lt
from uuid import UUID

from aggregator.models import AlertKind, Direction

EXTREMES = {AlertKind.NEW_LOW, AlertKind.NEW_HIGH}


@dataclass(frozen=True, slots=True)
class Movement:
    """A change of the offers of a product. Prices are the lowest in stock; None where nothing was to be had."""

    number: int  # of the change
    product_id: UUID
    at: datetime
    before: int | None
    price: int | None
    late: bool = False  # not a change itself: what was left to say when the alert's silence ended

    @property
    def has_moved(self) -> bool:
        """Whether the lowest price is another one; if not, something else about the offers is."""
        return self.before != self.price


@dataclass(slots=True)
class Watch:
    """An alert that watches a product, as far as its rule needs it, and how far it has come with that product."""

    id: UUID
    user_id: UUID
    product_id: UUID
    kind: AlertKind
    target: int | None
    basis_points: int | None
    direction: Direction | None
    days: int | None
    cooldown_seconds: int
    by_mail: bool
    by_webhook: bool
    since_number: int
    base_price: int | None = None
    fired_price: int | None = None
    cheapest: str | None = None
    extreme: int | None = None
    extreme_at: datetime | None = None
    fired_at: datetime | None = None
    missed_price: int | None = None
    due_at: datetime | None = None
    seen_price: int | None = None
    seen_cheapest: str | None = None

    @property
    def silent_until(self) -> datetime | None:
        """The end of its silence after the last message; None where there was no message."""
        return self.fired_at and self.fired_at + timedelta(seconds=self.cooldown_seconds)


@dataclass(frozen=True)
class Past:
    """What a rule may ask about a movement, and about what was there before it."""

    # The lowest price before a movement, as far back as the alert looks, or the highest one; and when it was asked.
    extreme: Callable[[Watch, Movement], tuple[int, datetime] | None]
    # The cheapest offer just before a movement and with it, by the movement's number; None while there is none.
    cheapest: Mapping[int, tuple[str | None, str | None]]


def goes_off(watch: Watch, movement: Movement, past: Past) -> bool:
    """Whether a movement sets an alert off, after bringing the alert up to it.

    News during the alert's silence is not sent, and does not count as sent: catch_up() looks at it when that ends.
    """
    if not _looks_at(watch, movement):
        return False
    _rearm(watch, movement)
    is_news = _RULES[watch.kind](watch, movement, past)
    silent_until = watch.silent_until
    if not is_news or (silent_until is not None and movement.at < silent_until):
        _remember(watch, movement, past, silent_until if is_news else watch.due_at)
        return False
    _note_fired(watch, movement, past)
    return True


def catch_up(watch: Watch, moment: datetime) -> Movement | None:
    """What an alert has to say of what it saw in its silence: none unless that has ended, and it is still news."""
    end = watch.silent_until
    if watch.due_at is None or end is None:
        return None
    if end >= moment:
        watch.due_at = end  # the silence is longer now
        return None
    end, watch.due_at = max(end, watch.due_at), None  # later than its end, where the silence was made shorter
    movement = Movement(0, watch.product_id, end, _last_heard(watch), watch.seen_price, late=True)
    past = Past(lambda *_: None, {0: (None, watch.seen_cheapest)})
    if not _STILL_NEWS.get(watch.kind, _RULES[watch.kind])(watch, movement, past):
        return None
    _note_fired(watch, movement, past)
    return movement


def lacks_extreme(watch: Watch, movement: Movement) -> bool:
    """Whether the rule for a movement has to ask for the price to beat: it knows none, or one that is too old."""
    if watch.kind not in EXTREMES or movement.price is None or not _looks_at(watch, movement):
        return False
    if watch.extreme_at is None:
        return True
    return watch.days is not None and watch.extreme_at < movement.at - timedelta(days=watch.days)


def _looks_at(watch: Watch, movement: Movement) -> bool:
    """Whether a movement comes after the alert was made, and is of what it goes by."""
    compares = watch.kind is AlertKind.CHEAPEST_OFFER
    return movement.number > watch.since_number and (compares or movement.has_moved)


def _rearm(watch: Watch, movement: Movement) -> None:
    """Make ready again an alert that may go off anew, and one that has not seen a price yet."""
    if watch.base_price is None:
        watch.base_price = movement.price if movement.before is None else movement.before
    if watch.target is not None and movement.price is not None and movement.price > watch.target:
        watch.fired_price = None


def _remember(watch: Watch, movement: Movement, past: Past, due_at: datetime | None) -> None:
    """Keep what a silent alert has seen, where there is something to look at when its silence ends."""
    watch.due_at = due_at
    if due_at is None:
        return
    watch.seen_price = movement.price
    if watch.kind is AlertKind.CHEAPEST_OFFER:
        _, watch.seen_cheapest = past.cheapest[movement.number]
    if watch.kind is AlertKind.SOLD_OUT and movement.before is not None:
        watch.missed_price = movement.before


def _note_fired(watch: Watch, movement: Movement, past: Past) -> None:
    watch.fired_at, watch.fired_price = movement.at, movement.price
    if movement.price is not None:
        watch.base_price = movement.price
    if watch.kind is AlertKind.CHEAPEST_OFFER:
        _, watch.cheapest = past.cheapest[movement.number]
    watch.missed_price = watch.due_at = watch.seen_price = watch.seen_cheapest = None


def _last_heard(watch: Watch) -> int | None:
    """The price that a late message is compared with: the one before what its user did not hear of."""
    if watch.kind is AlertKind.BACK_IN_STOCK:
        return None
    return watch.base_price if watch.missed_price is None else watch.missed_price


def _below(watch: Watch, movement: Movement, past: Past) -> bool:
    """At or below the target, for the first time since it was above, or lower than when it was told last."""
    if movement.price is None or watch.target is None or movement.price > watch.target:
        return False
    return watch.fired_price is None or movement.price < watch.fired_price


def _change(watch: Watch, movement: Movement, past: Past) -> bool:
    """By so many percent of the price when it was told last, or when the alert was made."""
    if movement.price is None or watch.base_price is None or watch.basis_points is None:
        return False
    change = movement.price - watch.base_price
    if change == 0 or watch.direction is (Direction.DOWN if change > 0 else Direction.UP):
        return False
    # Multiplied, not divided: from a price of 0 every change is more than any percentage of it.
    return abs(change) * 10_000 >= watch.basis_points * watch.base_price


def _any_change(watch: Watch, movement: Movement, past: Past) -> bool:
    """Another price than when it was told last, or when the alert was made."""
    return movement.price is not None and watch.base_price not in (None, movement.price)


def _new_low(watch: Watch, movement: Movement, past: Past) -> bool:
    """Lower than ever before, or than in so many days."""
    return _beats(watch, movement, past, lt)


def _new_high(watch: Watch, movement: Movement, past: Past) -> bool:
    """Higher than ever before, or than in so many days."""
    return _beats(watch, movement, past, gt)


def _beats(watch: Watch, movement: Movement, past: Past, better: Callable[[int, int], bool]) -> bool:
    """Whether a price is better than the best one so far, which is remembered as long as it is not too old.

    A best one that its user has not heard of is no measure for the next: better than the one before it is news.
    """
    if movement.price is None:
        return False
    if lacks_extreme(watch, movement):
        watch.extreme, watch.extreme_at = past.extreme(watch, movement) or (None, None)
    beaten = watch.extreme is not None and better(movement.price, watch.extreme)
    if beaten and watch.missed_price is None:
        watch.missed_price = watch.extreme  # forgotten as soon as its user hears of this
    if watch.extreme is None or not better(watch.extreme, movement.price):
        watch.extreme, watch.extreme_at = movement.price, movement.at
    return beaten or _beats_missed(watch, movement, better)


def _beats_missed(watch: Watch, movement: Movement, better: Callable[[int, int], bool]) -> bool:
    return movement.price is not None and watch.missed_price is not None and better(movement.price, watch.missed_price)


def _back_in_stock(watch: Watch, movement: Movement, past: Past) -> bool:
    """Something is to be had, and nothing was before."""
    return movement.before is None and movement.price is not None


def _sold_out(watch: Watch, movement: Movement, past: Past) -> bool:
    """Nothing is to be had, and something was before."""
    return movement.before is not None and movement.price is None


def _cheapest_offer(watch: Watch, movement: Movement, past: Past) -> bool:
    """Another offer is the cheapest than when it was told last, or before the first movement that it sees."""
    before, cheapest = past.cheapest[movement.number]
    if watch.cheapest is None:
        watch.cheapest = before or cheapest  # the first one there is is no news
    return cheapest is not None and cheapest != watch.cheapest


_RULES: dict[AlertKind, Callable[[Watch, Movement, Past], bool]] = {
    AlertKind.BELOW: _below,
    AlertKind.CHANGE: _change,
    AlertKind.ANY_CHANGE: _any_change,
    AlertKind.NEW_LOW: _new_low,
    AlertKind.NEW_HIGH: _new_high,
    AlertKind.BACK_IN_STOCK: _back_in_stock,
    AlertKind.SOLD_OUT: _sold_out,
    AlertKind.CHEAPEST_OFFER: _cheapest_offer,
}

# Whether what was seen in an alert's silence still is so when that ends, where the rule itself asks for more.
_STILL_NEWS: dict[AlertKind, Callable[[Watch, Movement, Past], bool]] = {
    AlertKind.NEW_LOW: lambda watch, movement, _: _beats_missed(watch, movement, lt),
    AlertKind.NEW_HIGH: lambda watch, movement, _: _beats_missed(watch, movement, gt),
    AlertKind.BACK_IN_STOCK: lambda _, movement, __: movement.price is not None,
    AlertKind.SOLD_OUT: lambda _, movement, __: movement.price is None,
}
