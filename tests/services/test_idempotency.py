"""The same request sent twice is done once."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.database import transaction
from aggregator.errors import InProgress, Invalid
from aggregator.models import IdempotencyKey
from aggregator.services import idempotency
from aggregator.services.idempotency import Earlier, RequestKey, request_digest
from tests.builders import before, stored

REQUEST = RequestKey("everybody", "k", "d1")
FIRST = uuid4()


def begin(now, request: RequestKey = REQUEST, resource_id=FIRST) -> Earlier | None:
    with transaction():
        return idempotency.begin(request, resource_id, now)


@pytest.mark.usefixtures("context")
class TestKeys:
    def test_the_first_takes_the_key(self, app, now):
        assert begin(now) is None
        assert [(row.key, row.resource_id, row.answer) for row in stored(app, IdempotencyKey)] == [("k", FIRST, None)]

    def test_the_second_gets_what_the_first_was_answered(self, now):
        begin(now)
        with transaction():
            idempotency.finish(REQUEST, '{"id": 1}')

        assert begin(now + timedelta(hours=23), resource_id=uuid4()) == Earlier(FIRST, '{"id": 1}')

    def test_while_the_first_is_worked_on_the_second_is_told_so(self, now):
        begin(now)

        with pytest.raises(InProgress):
            begin(now + timedelta(seconds=14.9))

    def test_a_first_that_died_is_known_by_what_it_made(self, now):
        begin(now)

        assert begin(now + timedelta(seconds=15)) == Earlier(FIRST, None)

    def test_another_request_with_the_key_is_refused(self, now):
        begin(now)

        with pytest.raises(Invalid, match="used for another request"):
            begin(now, RequestKey("everybody", "k", "d2"))

    def test_two_owners_may_pick_the_same_key(self, now):
        begin(now)

        assert begin(now, RequestKey("somebody", "k", "d2")) is None

    def test_one_that_came_to_nothing_gives_the_key_back(self, now):
        begin(now)
        with transaction():
            idempotency.forget(REQUEST)

        assert begin(now, RequestKey("everybody", "k", "d2")) is None

    def test_they_are_kept_for_a_day(self, app, now):
        begin(before(now, hours=24, seconds=1))
        begin(before(now, hours=24), RequestKey("everybody", "kept", "d"))

        with transaction():
            assert idempotency.expire(now) == 1
        assert [row.key for row in stored(app, IdempotencyKey)] == ["kept"]

    def test_they_are_forgotten_a_batch_at_a_time(self, app, now, monkeypatch):
        monkeypatch.setattr(idempotency, "EXPIRED_AT_ONCE", 2)
        for number in range(5):
            begin(before(now, hours=25), RequestKey(f"owner {number % 2}", f"k{number // 2}", "d"))
        begin(now, RequestKey("owner 1", "k2", "d"))

        expired = []
        for _ in range(4):
            with transaction():
                expired.append(idempotency.expire(now))
        assert expired == [2, 2, 1, 0]
        assert [(row.owner, row.key) for row in stored(app, IdempotencyKey)] == [("owner 1", "k2")]

    def test_thousands_are_a_batch(self):
        assert idempotency.EXPIRED_AT_ONCE == 5_000


class TestDigest:
    def test_it_tells_requests_apart_by_what_they_ask_for(self):
        digests = {
            request_digest("POST", "/products", {"name": "Lamp"}),
            request_digest("POST", "/products", {"name": "Chair"}),
            request_digest("POST", "/orders", {"name": "Lamp"}),
            request_digest("PUT", "/products", {"name": "Lamp"}),
        }

        assert len(digests) == 4
        assert {len(digest) for digest in digests} == {64}

    def test_the_order_of_the_fields_does_not_matter(self):
        one, other = {"a": 1, "b": [uuid4()]}, {}
        other.update(reversed(one.items()))

        assert request_digest("POST", "/", one) == request_digest("POST", "/", other)

    def test_any_text_can_be_digested(self):
        assert request_digest("POST", "/", {"name": "\ud800"})
