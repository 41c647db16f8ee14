"""Walks of a price, and when each kind of alert goes off on the way."""

from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from aggregator.models import AlertKind, Direction
from aggregator.services.alert_rules import Movement, Past, Watch, catch_up, goes_off, lacks_extreme
from tests.alert_walks import IDS, SILENCE, WALKS
from tests.reference import alert_moments

K = AlertKind
BEGIN = datetime.fromisoformat("2026-05-04T12:00:00Z")
PRODUCT = UUID(int=1)
DAY = 86_400


def make_watch(kind: AlertKind, base: int | None = None, **fields) -> Watch:
    plain = dict.fromkeys(("target", "basis_points", "direction", "days", "fired_price", "cheapest", "fired_at"))
    plain |= {"cooldown_seconds": 0, "by_mail": True, "by_webhook": False, "since_number": 0, "base_price": base}
    return Watch(uuid4(), uuid4(), PRODUCT, kind, **plain | fields)


def firings(watch: Watch, *prices: int | None, seconds: int = 60, cheapest: list[str | None] | None = None) -> list:
    """Which steps of a walk set an alert off; the first price is the one at which the alert was made.

    The past is all prices of the walk so far; cheapest says the cheapest offer at each price.
    """
    went_off = []
    for step, (before, price) in enumerate(pairwise(prices), start=1):
        movement = Movement(step, PRODUCT, BEGIN + timedelta(seconds=step * seconds), before, price)
        known = (cheapest[step - 1], cheapest[step]) if cheapest else (None, None)
        past = Past(extreme_of(prices[:step], step, seconds), {step: known})
        if goes_off(watch, movement, past):
            went_off.append(step)
    return went_off


def extreme_of(prices: tuple[int | None, ...], step: int, seconds: int):
    """The lowest or the highest of some prices, which were asked up to a step, one at each; with the latest step."""

    def extreme(watch: Watch, movement: Movement) -> tuple[int, datetime] | None:
        steps = len(prices) if watch.days is None else watch.days * DAY // seconds
        ago = range(1, min(steps, len(prices)) + 1)
        asked = [
            (price, BEGIN + timedelta(seconds=(step - n) * seconds)) for n in ago if (price := prices[-n]) is not None
        ]
        return (max if watch.kind is K.NEW_HIGH else min)(asked, default=None)

    return extreme


# The walk begins with the price when the alert is made. In brackets: the steps that set it off.
BELOW_100 = [
    ((120, 110, 101), []),
    ((120, 100), [1]),  # at the target counts
    ((120, 99, 110, 99), [1, 3]),  # above it, and below it again
    ((120, 90, 95, 90), [1]),  # not twice for the same price
    ((120, 90, 95, 92), [1]),
    ((120, 90, 89, 89, 50), [1, 2, 4]),  # again at a further low
    ((120, 90, None, 90), [1]),  # sold out for a while at the same price
    ((120, 90, None, 80), [1, 3]),
    ((120, None, 90), [2]),
    ((None, 90), [1]),
    ((80, 85), [1]),  # below it already: with the first movement
    ((80, 120, 70), [2]),
    ((120, 0, 0), [1]),
]
CHANGE_10_PERCENT = [
    ((100, 105, 109), []),
    ((100, 110), [1]),
    ((100, 90), [1]),
    ((100, 105, 110), [2]),  # the sum of small ones
    ((100, 110, 120, 121), [1, 3]),  # from then on, of the price it told: 121 is 10 % of 110 more
    ((100, 110, 100, 99), [1, 3]),
    ((100, None, 100), []),
    ((100, None, 111), [2]),
    ((None, 100, 105, 110), [3]),  # the first price there is is what it compares with
    ((0, 1), [1]),  # from nothing, every price is far
    ((0, 0), []),
    ((100, 0, 5), [1, 2]),
]
ANY_CHANGE = [
    ((100, 101, 101, 100), [1, 3]),
    ((100, None, 100), []),
    ((100, None, 101), [2]),
    ((None, 100, 99), [2]),
    ((0, 1, 0), [1, 2]),
]
NEW_LOW = [
    ((100, 99, 99, 98), [1, 3]),
    ((100, 120, 110, 100), []),  # the same as before is not lower
    ((100, 120, 99), [2]),
    ((100, None, 100, 99), [3]),
    ((100, None, 99), [2]),
    ((None, 100), []),  # there was none to be lower than
    ((1, 0, 0), [1]),
]
NEW_HIGH = [
    ((100, 101, 101, 102), [1, 3]),
    ((100, 80, 90, 100), []),
    ((100, None, 101), [2]),
    ((None, 100), []),
]
BACK_IN_STOCK = [
    ((100, 90, None, None, 90), [4]),
    ((None, 100, None, 100), [1, 3]),
    ((None, 0), [1]),
]
SOLD_OUT = [
    ((100, None, None, 100, None), [1, 4]),
    ((None, None), []),
    ((0, None), [1]),
]
# The walk is that of the cheapest offer, whatever it costs.
CHEAPEST_OFFER = [
    (("a", "a", "b", "b"), [2]),
    (("a", "b", "a"), [1, 2]),
    (("a", None, "b"), [2]),  # compared with the last one there was
    (("a", None, "a"), []),
    ((None, "a", "b"), [2]),  # the first one there is is no news
    ((None, None, "a", None, "b"), [4]),
]


def walks(table) -> list:
    return [pytest.param(prices, steps, id="-".join(map(str, prices))) for prices, steps in table]


class TestTheKinds:
    @pytest.mark.parametrize(("prices", "steps"), walks(BELOW_100))
    def test_below(self, prices, steps):
        assert firings(make_watch(K.BELOW, prices[0], target=100), *prices) == steps

    @pytest.mark.parametrize(("prices", "steps"), walks(CHANGE_10_PERCENT))
    def test_change(self, prices, steps):
        watch = make_watch(K.CHANGE, prices[0], basis_points=1000, direction=Direction.BOTH)

        assert firings(watch, *prices) == steps

    @pytest.mark.parametrize(
        ("direction", "steps"), [(Direction.UP, [1]), (Direction.DOWN, [2]), (Direction.BOTH, [1, 2])]
    )
    def test_change_in_one_direction(self, direction, steps):
        watch = make_watch(K.CHANGE, 100, basis_points=1000, direction=direction)

        assert firings(watch, 100, 120, 60) == steps

    @pytest.mark.parametrize(("price", "steps"), [(1_250_124, []), (1_250_125, [1]), (1_249_875, [1])])
    def test_change_is_exact_to_a_hundredth_of_a_percent(self, price, steps):
        watch = make_watch(K.CHANGE, 1_250_000, basis_points=1, direction=Direction.BOTH)

        assert firings(watch, 1_250_000, price) == steps

    @pytest.mark.parametrize(("prices", "steps"), walks(ANY_CHANGE))
    def test_any_change(self, prices, steps):
        assert firings(make_watch(K.ANY_CHANGE, prices[0]), *prices) == steps

    @pytest.mark.parametrize(("prices", "steps"), walks(NEW_LOW))
    def test_new_low(self, prices, steps):
        assert firings(make_watch(K.NEW_LOW, prices[0]), *prices) == steps

    def test_new_low_in_some_days_forgets_what_was_before(self):
        in_two_days, ever = make_watch(K.NEW_LOW, 100, days=2), make_watch(K.NEW_LOW, 100)
        walk = (100, 50, 80, 80, 80, 70)

        assert firings(in_two_days, *walk, seconds=DAY) == [1, 5]
        assert firings(ever, *walk, seconds=DAY) == [1]

    @pytest.mark.parametrize(("prices", "steps"), walks(NEW_HIGH))
    def test_new_high(self, prices, steps):
        assert firings(make_watch(K.NEW_HIGH, prices[0]), *prices) == steps

    @pytest.mark.parametrize(("prices", "steps"), walks(BACK_IN_STOCK))
    def test_back_in_stock(self, prices, steps):
        assert firings(make_watch(K.BACK_IN_STOCK, prices[0]), *prices) == steps

    @pytest.mark.parametrize(("prices", "steps"), walks(SOLD_OUT))
    def test_sold_out(self, prices, steps):
        assert firings(make_watch(K.SOLD_OUT, prices[0]), *prices) == steps

    @pytest.mark.parametrize(("offers", "steps"), walks(CHEAPEST_OFFER))
    def test_cheapest_offer(self, offers, steps):
        assert firings(make_watch(K.CHEAPEST_OFFER), *[100] * len(offers), cheapest=list(offers)) == steps

    def test_cheapest_offer_compares_with_the_one_that_was_told(self):
        watch = make_watch(K.CHEAPEST_OFFER, cheapest="b", cooldown_seconds=120)

        assert firings(watch, 100, 100, 100, 100, 100, cheapest=["a", "a", "c", "a", "c"], seconds=60) == [1, 4]


class TestLacksExtreme:
    def lacks(self, kind: AlertKind = K.NEW_LOW, price: int | None = 90, number: int = 1, **fields) -> bool:
        return lacks_extreme(make_watch(kind, **fields), Movement(number, PRODUCT, BEGIN, 100, price))

    def test_is_so_where_none_is_known(self):
        assert self.lacks(K.NEW_LOW)
        assert self.lacks(K.NEW_HIGH, days=3)

    def test_is_so_where_it_is_too_old(self):
        known = {"extreme": 80, "extreme_at": BEGIN - timedelta(days=3)}

        assert not self.lacks(**known)
        assert not self.lacks(**known, days=3)
        assert self.lacks(**known | {"extreme_at": BEGIN - timedelta(days=3, microseconds=1)}, days=3)

    def test_is_not_so_where_nobody_asks(self):
        assert not self.lacks(K.BELOW, target=95)
        assert not self.lacks(price=None)
        assert not self.lacks(number=4, since_number=4)


class TestSilence:
    def test_lasts_as_long_as_was_asked_for(self):
        watch = make_watch(K.ANY_CHANGE, 100, cooldown_seconds=120)

        assert firings(watch, 100, 101, 102, 103, 104, seconds=60) == [1, 3]

    def test_does_not_lose_a_price_that_is_still_news_after_it(self):
        watch = make_watch(K.BELOW, 120, target=100, cooldown_seconds=180)

        assert firings(watch, 120, 90, 80, 85, 84, seconds=60) == [1, 4]

    def test_compares_with_the_price_that_was_told(self):
        watch = make_watch(K.CHANGE, 100, basis_points=1000, direction=Direction.BOTH, cooldown_seconds=120)

        assert firings(watch, 100, 110, 200, 115, seconds=60) == [1]


class TestBeforeItWasMade:
    def test_nothing_sets_it_off(self):
        watch = make_watch(K.ANY_CHANGE, 100, since_number=2)

        assert firings(watch, 100, 101, 102, 103) == [3]


class TestReference:
    @pytest.mark.parametrize("walk", WALKS, ids=IDS)
    def test_knows_when_each_message_of_the_table_is_sent(self, walk):
        points = [(BEGIN + timedelta(minutes=minute), value) for minute, value in walk.steps.items()]
        percent = int(walk.fields.get("percent", 0))

        moments = alert_moments(walk.kind, points, timedelta(seconds=SILENCE), walk.fields.get("target"), percent)

        assert [(moment - BEGIN) / timedelta(minutes=1) for moment in moments] == [m for m, _, _ in walk.messages]


class TestTheEndOfASilence:
    def caught_up(self, watch: Watch, seconds: int) -> Movement | None:
        return catch_up(watch, BEGIN + timedelta(seconds=seconds))

    def test_is_the_moment_of_what_is_sent_late(self):
        watch = make_watch(K.ANY_CHANGE, 100, cooldown_seconds=150)
        assert firings(watch, 100, 101, 102, seconds=60) == [1]

        assert self.caught_up(watch, 210) is None
        late = self.caught_up(watch, 600)

        assert late == Movement(0, PRODUCT, BEGIN + timedelta(seconds=210), 101, 102, late=True)
        assert self.caught_up(watch, 10_000) is None

    def test_is_later_where_the_silence_was_made_longer(self):
        watch = make_watch(K.ANY_CHANGE, 100, cooldown_seconds=150)
        firings(watch, 100, 101, 102, seconds=60)

        watch.cooldown_seconds = 600

        assert self.caught_up(watch, 300) is None
        assert watch.due_at == BEGIN + timedelta(seconds=660)

    def test_leaves_a_low_of_some_days_that_its_user_has_not_heard_of(self):
        """80 was the low of two days when it came, whatever was sent three days before."""
        watch = make_watch(K.NEW_LOW, 100, days=2, cooldown_seconds=5 * DAY + 1)

        assert firings(watch, 100, 50, 90, 90, 90, 80, seconds=DAY) == [1]

        late = self.caught_up(watch, 7 * DAY)
        assert late is not None
        assert (late.before, late.price) == (90, 80)
