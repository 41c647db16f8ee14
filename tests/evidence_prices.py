"""Histories and trends against the reference, on both databases: python -m tests.evidence_prices [--examples N]."""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from aggregator.config import Settings
from aggregator.database import db, in_transaction, transaction
from aggregator.errors import Invalid
from aggregator.models import PricePoint, ProductPricePoint
from aggregator.models.base import MAX_PRICE
from aggregator.services import price_reads, retention
from aggregator.services.price_reads import MAX_POINTS, Interval, Period
from aggregator.services.price_series import Series
from aggregator.services.price_tables import Kind
from aggregator.services.retention import Cuts
from aggregator.services.roll_ups import Level
from tests import reference
from tests.apps import NO_SERVICE, apps
from tests.databases import Cluster, migrate, sqlite_url
from tests.postgres import postgres

BEGIN = datetime(1999, 12, 31, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPANS = (3, 72, 960, 26_280, 219_000)  # hours: from an afternoon to 25 years
MOMENTS = {"at", "since", "until"}
REFUSED = "more than can be told"

_numbers = count(1)


@dataclass(frozen=True)
class Step:
    """What comes after a while: more points, those before present, and then a roll-up."""

    present: datetime
    cuts: Cuts


@dataclass(frozen=True)
class Case:
    """The points of a series, each with a number of offers, what is rolled up of it, and a period to be asked for."""

    kind: Kind
    points: tuple[tuple[datetime, int | None, int], ...]
    since: datetime
    until: datetime
    steps: tuple[Step, ...] = ()

    @property
    def spans(self) -> reference.Spans:
        """What the points have been rolled up to in the end."""
        if not self.steps:
            return ()
        cuts = self.steps[-1].cuts
        return reference.rolled([(at, price) for at, price, _ in self.points], cuts.points, cuts.hours)


@st.composite
def cases(draw: st.DrawFn, steps: int = 0) -> Case:
    """Series of all shapes; points, hours, days and the ends of the period coincide more often than not.

    They have been rolled up in so many steps, and more points may have come in between.
    """
    span = draw(st.sampled_from(SPANS))
    moments = _moments(0, span)
    price = st.sampled_from([0, 1, MAX_PRICE]) | st.integers(0, 2000) | st.integers(0, MAX_PRICE)
    prices = draw(st.lists(price, min_size=2, max_size=4))  # so few that they come again
    point = st.tuples(moments, st.sampled_from([*prices, None]), st.integers(0, 2))
    size = draw(st.sampled_from([3, 12, 6, 2, 1, 0]))
    points = sorted(draw(st.lists(point, min_size=size, max_size=size, unique_by=lambda point: point[0])))
    ends = _moments(-30, span + 30) | moments
    if points:
        beside = st.sampled_from([0, 0, 0, -1, 1]).map(lambda microseconds: timedelta(microseconds=microseconds))
        ends |= st.builds(lambda at, distance: at + distance, st.sampled_from([at for at, _, _ in points]), beside)
    since, until = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    cuts = sorted(draw(st.lists(_moments(0, span + 48), min_size=steps, max_size=steps)))
    hourly_days = draw(st.sampled_from([0, 0, 2, span // 48]))
    later = draw(st.lists(st.sampled_from([0, 1, 30, span]), min_size=steps, max_size=steps))
    all_steps = [
        Step(cut + hours * HOUR, retention.cuts(cut, 0, hourly_days)) for cut, hours in zip(cuts, later, strict=True)
    ]
    return Case(draw(st.sampled_from(Kind)), tuple(points), since, until, tuple(all_steps))


def _moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    hours = st.integers(first, last)
    days = st.integers(first // 24, last // 24).map(lambda day: 24 * day + 2)  # BEGIN is two hours before midnight
    microseconds = st.sampled_from([0, 0, 1, -1]) | st.integers(0, 3_599_999_999)
    return st.builds(lambda hour, more: BEGIN + hour * HOUR + timedelta(microseconds=more), hours | days, microseconds)


def write(cases: Sequence[Case]) -> list[Series]:
    """Series that have the points of the cases, rolled up in their steps."""
    series = [
        Series.of_offer(number) if case.kind is Kind.OFFER else Series.of_product(UUID(int=number))
        for case, number in zip(cases, _numbers, strict=False)
    ]
    stepped = [(each, case) for each, case in zip(series, cases, strict=True) if case.steps]
    _insert([(each, case.points) for each, case in zip(series, cases, strict=True) if not case.steps])
    for each, case in stepped:
        rest = case.points
        for step in case.steps:
            _insert([(each, [point for point in rest if point[0] < step.present])])
            rest = tuple(point for point in rest if point[0] >= step.present)
            roll_up(each, step.cuts)
        _insert([(each, rest)])
    return series


def _insert(points: Sequence[tuple[Series, Sequence[tuple[datetime, int | None, int]]]]) -> None:
    offers = [
        {"offer_id": series.key, "observed_at": at, "price": price}
        for series, several in points
        for at, price, _ in several
        if series.kind is Kind.OFFER
    ]
    names = ("product_id", "observed_at", "lowest_price", "offer_count")
    products = [
        dict(zip(names, (UUID(str(series.key)), *point), strict=True))
        for series, several in points
        for point in several
        if series.kind is Kind.PRODUCT
    ]
    with transaction():
        for model, rows in ((PricePoint, offers), (ProductPricePoint, products)):
            if rows:
                db.session.execute(sa.insert(model), rows)


def roll_up(series: Series, cuts: Cuts) -> None:
    """Roll up all that a series has before the cuts."""
    for level in Level:
        work = partial(retention.roll_up, series.kind, level, [series.key], cuts.of(level))
        while in_transaction(work) is not None:
            pass


def make_series(kind: Kind, *points: tuple[datetime, int | None]) -> Series:
    """A series that has these points."""
    (series,) = write([Case(kind, tuple((at, price, 1) for at, price in points), BEGIN, BEGIN)])
    return series


def expected(case: Case) -> dict[str, Any]:
    """What the reference says about a case."""
    points = [(at, price) for at, price, _ in case.points]
    histories = {
        interval: REFUSED
        if interval in reference.LENGTH and _buckets(case, interval) > MAX_POINTS
        else reference.history(points, case.since, case.until, interval, case.spans)
        for interval in ("raw", "hour", "day")
    }
    return histories | {"trend": reference.trend(points, case.since, case.until, case.spans)}


def _buckets(case: Case, interval: str) -> int:
    length = reference.LENGTH[interval]
    first = (case.since - reference.MIDNIGHT) // length
    return -((reference.MIDNIGHT - case.until) // length) - first


def answered(series: Series, case: Case) -> dict[str, Any]:
    """What the product says about it."""
    period = Period(case.since, case.until)
    histories = {interval: _history(series, period, interval) for interval in Interval}
    return histories | {"trend": parsed(price_reads.trend(series, period))}


def _history(series: Series, period: Period, interval: Interval) -> Any:
    try:
        return parsed(price_reads.history(series, period, interval))
    except Invalid:
        return REFUSED


def parsed(text: str) -> Any:
    """The JSON of a text, its moments as such and its numbers exact."""
    return json.loads(text, parse_float=Fraction, object_hook=_with_moments)


def _with_moments(members: dict[str, Any]) -> dict[str, Any]:
    moments = {name: datetime.fromisoformat(members[name]) for name in MOMENTS & members.keys()}
    return members | moments


def generated(examples: int, number: int, most_steps: int) -> list[Case]:
    """So many cases with up to so many steps, the same ones for the same number."""
    found: dict[Case, None] = {}

    @settings(max_examples=examples, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(min(1, most_steps), most_steps).flatmap(cases))
    def collect(case: Case) -> None:
        found[case] = None

    while len(found) < examples:
        seed(number + len(found))(collect)()
    return list(found)[:examples]


def traits(case: Case) -> list[str]:
    """What a case has in it, to see that nothing was left out."""
    ats, prices = [at for at, _, _ in case.points], [price for _, price, _ in case.points]
    has = {
        "no points": not ats,
        "nothing to be had at times": None in prices,
        "a price of 0": 0 in prices,
        f"a price of {MAX_PRICE}": MAX_PRICE in prices,
        "one price twice running": any(old == new is not None for old, new in pairwise(prices)),
        "nothing to be had twice running": any(old is new is None for old, new in pairwise(prices)),
        "a point at since": case.since in ats,
        "a point at until": case.until in ats,
        "a point on an hour": any((at - reference.MIDNIGHT) % HOUR == timedelta() for at in ats),
        "a point on a day": any((at - reference.MIDNIGHT) % (24 * HOUR) == timedelta() for at in ats),
        "all points before": bool(ats) and ats[-1] < case.since,
        "all points after": bool(ats) and ats[0] > case.until,
        "points before, inside and after": any(ats[0] < case.since < at < case.until < ats[-1] for at in ats),
        "all points inside": bool(ats) and case.since < ats[0] and ats[-1] < case.until,
        "points that became hours or days": bool(case.spans),
        "points that became days": any(end - start > HOUR for start, end in case.spans),
        "points rolled up and points not": bool(case.spans) and case.spans[-1][1] <= max(ats),
        "a period that begins inside of an hour or a day": any(a < case.since < b for a, b in case.spans),
        "a period that ends inside of an hour or a day": any(a < case.until < b for a, b in case.spans),
        "a period from days to points": any(
            a <= case.since < b and b - a > HOUR and case.spans[-1][1] < case.until for a, b in case.spans
        ),
        "more than a year": case.until - case.since > 365 * 24 * HOUR,
    }
    return [name for name, is_so in has.items() if is_so]


@contextmanager
def _databases() -> Iterator[dict[str, Flask]]:
    with apps() as start, postgres() as server, tempfile.TemporaryDirectory() as directory:
        urls = {"sqlite": sqlite_url(Path(directory, "prices.db")), "postgresql": Cluster(server.url).create("prices")}
        for url in urls.values():
            migrate(url)
        yield {name: start(Settings(url, NO_SERVICE)) for name, url in urls.items()}


def _compare(name: str, app: Flask, cases: Sequence[Case], answers: Sequence[dict[str, Any]]) -> int:
    """How many answers of a database differ, after showing the simplest of each sort."""
    began, found = time.monotonic(), defaultdict(list)
    with app.app_context():
        for series, case, expected in zip(write(cases), cases, answers, strict=True):
            answer = answered(series, case)
            for which in expected:
                if answer[which] != expected[which]:
                    found[str(which)].append(case)
    count = sum(len(cases) for cases in found.values())
    print(f"{name}: {4 * len(cases)} answers in {time.monotonic() - began:.0f} s, {count} differences", flush=True)
    for which, different in found.items():
        print(f"  {which}: {len(different)}, such as {min(different, key=lambda case: len(repr(case)))}")
    return count


def main() -> int:
    """The exit code: 1 where a history or a trend was another one than the reference's."""
    parser = argparse.ArgumentParser(description="Compare histories and trends with the reference.")
    parser.add_argument("--examples", type=int, default=10_000, help="how many series, each with a period")
    parser.add_argument("--steps", type=int, default=0, help="how many roll-ups a series may have had")
    parser.add_argument("--seed", type=int, default=0, help="the same one makes the same series")
    options = parser.parse_args()
    examples = generated(options.examples, options.seed, options.steps)
    retention.ENTRIES_AT_ONCE = 3  # so that it takes several batches
    answers = [expected(case) for case in examples]
    print(f"{len(examples)} different series and periods, up to {options.steps} roll-ups, seed {options.seed}")
    for trait, number in Counter(trait for case in examples for trait in traits(case)).most_common():
        print(f"  {number:6} with {trait}")
    with _databases() as databases:
        wrong = sum([_compare(name, app, examples, answers) for name, app in databases.items()])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
