"""What the rules of alerts ask the history, of many products at once."""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from aggregator.services import alert_history
from aggregator.services.alert_history import Question
from aggregator.services.alert_rules import Movement
from aggregator.services.price_tables import Kind
from aggregator.services.retention import Cuts
from tests import reference
from tests.builders import make_offer, make_product, offer_id, sync
from tests.evidence_prices import make_series, roll_up

pytestmark = pytest.mark.usefixtures("context")
A, B = offer_id(1), offer_id(2)
DAY, TINY = timedelta(days=1), timedelta(microseconds=1)
MIDNIGHT = datetime(2026, 5, 4, tzinfo=UTC)


def at(hour: int, minute: int = 0) -> datetime:
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


def product(*points: tuple[datetime, int | None]) -> UUID:
    """A product that has had these lowest prices."""
    return UUID(str(make_series(Kind.PRODUCT, *points).key))


def lowest(product_id: UUID, moment: datetime, days: int | None = None) -> tuple[int, datetime] | None:
    return asked(Question(product_id, False, days, moment))


def highest(product_id: UUID, moment: datetime, days: int | None = None) -> tuple[int, datetime] | None:
    return asked(Question(product_id, True, days, moment))


def asked(question: Question) -> tuple[int, datetime] | None:
    return alert_history.extremes([question]).get(question)


class TestExtremes:
    def test_are_the_lowest_and_the_highest_price_before_a_moment(self):
        product_id = product((at(1), 100), (at(2), 80), (at(3), None), (at(4), 120), (at(5), 10))

        assert lowest(product_id, at(5)) == (80, at(2))
        assert highest(product_id, at(5)) == (120, at(4))
        assert lowest(product_id, at(6)) == (10, at(5))

    def test_are_of_the_last_time_that_the_price_was_asked(self):
        product_id = product((at(1), 80), (at(2), 100), (at(3), 80), (at(4), 100))

        assert lowest(product_id, at(5)) == (80, at(3))
        assert highest(product_id, at(5)) == (100, at(4))

    @pytest.mark.parametrize("points", [[], [(at(1), None)], [(at(6), 100)]])
    def test_are_none_where_there_was_no_price(self, points):
        assert lowest(product(*points), at(6)) is None

    def test_in_some_days_begin_with_the_price_in_force_then(self):
        product_id = product((at(1), 70), (at(2), 50), (at(30), 60), (at(31), 90))

        assert lowest(product_id, at(50), days=2) == (50, at(2))
        assert lowest(product_id, at(50) + TINY, days=2) == (50, at(2) + TINY)
        assert lowest(product_id, at(54), days=1) == (60, at(30))
        assert lowest(product_id, at(54) + TINY, days=1) == (60, at(30) + TINY)
        assert lowest(product_id, at(60), days=1) == (90, at(36))

    def test_begin_with_nothing_where_nothing_was_to_be_had(self):
        product_id = product((at(1), 50), (at(2), None), (at(30), 60))

        assert lowest(product_id, at(48), days=1) == (60, at(30))

    def test_may_be_of_hours_and_days(self):
        series = make_series(Kind.PRODUCT, (at(1, 10), 70), (at(1, 20), 50), (at(1, 40), 90), (at(9), 80))
        roll_up(series, Cuts(at(8), at(0)))
        product_id = UUID(str(series.key))

        assert lowest(product_id, at(10)) == (50, at(2) - TINY)  # some time in that hour
        assert highest(product_id, at(10)) == (90, at(2) - TINY)
        assert lowest(product_id, at(25, 30), days=1) == (50, at(2) - TINY)  # the hour is in it in part
        assert lowest(product_id, at(26), days=1) == (80, at(9))
        assert highest(product_id, at(29), days=1) == (90, at(5))  # in force since before

    def test_answer_all_questions_at_once(self, monkeypatch):
        monkeypatch.setattr(alert_history, "QUESTIONS_AT_ONCE", 2)
        products = [product((at(1), 100 + number), (at(2), 50 + number)) for number in range(3)]
        questions = [Question(id, highest, None, at(9)) for id in products for highest in (False, True)]

        answers = alert_history.extremes({*questions, Question(product(), False, None, at(9))})

        assert [answers[question] for question in questions] == [
            price for number in range(3) for price in ((50 + number, at(2)), (100 + number, at(1)))
        ]
        assert len(answers) == 6
        assert alert_history.extremes([]) == {}

    @pytest.mark.parametrize("seed", range(6))
    def test_agree_with_all_prices_in_a_list(self, seed):
        choice = Random(seed)
        cut, questions, expected = Cuts(at(choice.randint(0, 96)), at(24 * choice.randint(0, 2))), [], []
        cut = Cuts(max(cut.points, cut.hours), cut.hours)
        for _ in range(12):
            minutes = sorted(choice.sample(range(96 * 60), choice.randint(0, 40)))
            points = [(at(0, minute), choice.choice([None, *range(9)])) for minute in minutes]
            series, spans = make_series(Kind.PRODUCT, *points), reference.rolled(points, cut.points, cut.hours)
            roll_up(series, cut)
            for days in (1, 2, 3, None):
                moment = at(96, choice.randint(0, 24 * 60))
                since = at(0) if days is None else moment - days * DAY
                since, _ = reference.covered(since, moment, spans)
                prices = [price for price, *_ in reference.held(points, since, moment) if price is not None]
                for is_highest, best in ((False, min), (True, max)):
                    questions.append(Question(UUID(str(series.key)), is_highest, days, moment))
                    expected.append(best(prices, default=None))

        answers = alert_history.extremes(questions)

        assert [answers.get(question, (None,))[0] for question in questions] == expected
        assert all(question.since <= at < question.at for question, (_, at) in answers.items())


class TestCheapest:
    def test_is_the_offer_just_before_a_movement_and_with_it(self, app):
        product_id = make_product(app)
        sync(app, product_id, {A: (100, 1), B: (110, 1)}, at(1))
        sync(app, product_id, {A: (120, 1), B: (110, 1)}, at(2))
        sync(app, product_id, {A: (120, 1), B: (110, 0)}, at(3))
        sync(app, product_id, {A: (120, 0), B: (110, 0)}, at(4))
        sync(app, product_id, {B: (110, 7)}, at(5))

        assert cheapest(product_id, 1, 2, 3, 4, 5) == {
            1: (None, A),
            2: (A, B),
            3: (B, A),
            4: (A, None),
            5: (None, B),
        }

    def test_is_the_one_that_was_there_first_of_two_of_a_price(self, app):
        product_id = make_product(app)
        make_offer(app, product_id, B, price=100, first_seen_at=at(1))
        make_offer(app, product_id, A, price=100, first_seen_at=at(1))

        assert cheapest(product_id, 2) == {2: (B, B)}

    def test_is_found_for_many_movements_at_once(self, app, monkeypatch):
        monkeypatch.setattr(alert_history, "MOMENTS_AT_ONCE", 3)
        products = [make_product(app) for _ in range(4)]
        for number, product_id in enumerate(products[:3]):
            make_offer(app, product_id, offer_id(number), first_seen_at=at(2))
        movements = [Movement(number, id, at(2), None, 1000) for number, id in enumerate(products)]

        assert alert_history.cheapest(movements) == {
            0: (None, offer_id(0)),
            1: (None, offer_id(1)),
            2: (None, offer_id(2)),
            3: (None, None),
        }
        assert alert_history.cheapest([]) == {}


def cheapest(product_id: UUID, *hours: int) -> dict[int, tuple[str | None, str | None]]:
    """The answers for movements of a product at some hours, by the hour."""
    return alert_history.cheapest([Movement(hour, product_id, at(hour), None, None) for hour in hours])
