"""The one access token and the circuits, as all processes share them."""

from datetime import timedelta

import pytest

from aggregator.clients.offers import AccessToken
from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.extensions import offers_box
from aggregator.models import Access, Circuit, Endpoint
from aggregator.services import access
from tests.builders import edit, stored

pytestmark = pytest.mark.usefixtures("context")
US, OTHERS = "u" * 12, "o" * 12


@pytest.fixture
def token() -> AccessToken:
    return AccessToken("t0k3n", utcnow() + timedelta(minutes=5))


def stored_token(fingerprint: str = US) -> AccessToken | None:
    with transaction():
        return access.stored_token(fingerprint, offers_box())


def circuit(app, endpoint: Endpoint) -> Circuit:
    (row,) = stored(app, Circuit, Circuit.endpoint == endpoint)
    return row


class TestToken:
    def test_there_is_none_at_first(self):
        assert stored_token() is None

    def test_all_processes_see_the_stored_one(self, token):
        with transaction():
            access.store_token(US, token, offers_box())

        assert stored_token() == token

    def test_that_of_another_account_is_not_ours(self, token):
        with transaction():
            access.store_token(OTHERS, token, offers_box())

        assert stored_token() is None

    def test_one_that_has_expired_is_none(self, app, token):
        with transaction():
            access.store_token(US, token, offers_box())
        edit(app, Access, expires_at=utcnow() - timedelta(seconds=1))

        assert stored_token() is None

    def test_one_without_an_end_is_good_for_ever(self):
        with transaction():
            access.store_token(US, AccessToken("t0k3n", None), offers_box())

        assert stored_token() == AccessToken("t0k3n", None)

    def test_only_the_one_that_was_refused_is_in_doubt(self, token):
        with transaction():
            access.store_token(US, token, offers_box())
            access.doubt_token("an older one", offers_box())
        assert stored_token() == token

        with transaction():
            access.doubt_token(token.value, offers_box())
        assert stored_token() is None

    def test_one_in_doubt_that_the_service_holds_valid_keeps_its_own_expiry(self, token):
        with transaction():
            access.store_token(US, token, offers_box())
            access.doubt_token(token.value, offers_box())
        with transaction():
            prolonged = access.prolong_token(US, 15, offers_box())

        assert prolonged == token
        assert stored_token() == token

    def test_one_that_the_service_still_holds_valid_is_prolonged(self, app, token):
        with transaction():
            access.store_token(US, token, offers_box())
        edit(app, Access, expires_at=utcnow() - timedelta(minutes=1))
        with transaction():
            prolonged = access.prolong_token(US, 15, offers_box())

        assert prolonged is not None
        assert prolonged.value == token.value
        assert timedelta(seconds=10) < prolonged.expires_at - utcnow() <= timedelta(seconds=15)
        assert stored_token() == prolonged

    def test_there_is_nothing_to_prolong_without_one_or_with_another_accounts(self, token):
        with transaction():
            assert access.prolong_token(US, 15, offers_box()) is None
            access.store_token(OTHERS, token, offers_box())
            assert access.prolong_token(US, 15, offers_box()) is None

    def test_one_that_does_not_work_is_forgotten_and_no_other_is(self, app, token):
        with transaction():
            access.store_token(US, token, offers_box())
            access.drop_token("an older one", offers_box())
        assert stored_token() == token

        with transaction():
            access.drop_token(token.value, offers_box())
            assert access.prolong_token(US, 15, offers_box()) is None
        assert stored_token() is None
        assert [(row.token, row.expires_at) for row in stored(app, Access)] == [(None, None)]

    def test_its_repr_does_not_give_it_away(self, token):
        assert "t0k3n" not in repr(token)


class TestLease:
    def take(self, holder: str) -> bool:
        with transaction():
            return access.take_lease(holder)

    def test_one_at_a_time_has_it(self):
        assert [self.take("a"), self.take("b"), self.take("a")] == [True, False, False]

    def test_it_can_be_given_back(self):
        self.take("a")
        with transaction():
            access.give_back_lease("a")

        assert self.take("b")

    def test_nobody_can_give_back_anothers(self):
        self.take("a")
        with transaction():
            access.give_back_lease("b")

        assert not self.take("c")

    def test_it_runs_out_when_its_holder_dies(self, app):
        self.take("a")
        edit(app, Access, leased_until=utcnow() - timedelta(seconds=1))

        assert self.take("b")

    def test_it_lasts_longer_than_the_call_it_is_for(self, app):
        self.take("a")

        (row,) = stored(app, Access)
        assert timedelta(seconds=10) < row.leased_until - utcnow() <= timedelta(seconds=15)


class TestCircuits:
    def pauses(self) -> dict[Endpoint, str]:
        with transaction():
            return {endpoint: pause.reason for endpoint, pause in access.pauses().items()}

    def failing(self) -> set[Endpoint]:
        with transaction():
            return access.failing()

    def fail(self, times: int, retry_after: float | None = None) -> None:
        for _ in range(times):
            with transaction():
                access.count_failure(Endpoint.REGISTER, "it answered 500", retry_after)

    def test_all_are_closed_at_first(self):
        assert (self.pauses(), self.failing()) == ({}, set())

    def test_two_failures_are_tolerated_and_the_third_opens_it(self):
        self.fail(2)
        assert (self.pauses(), self.failing()) == ({}, set())

        self.fail(1)
        assert (self.pauses(), self.failing()) == ({Endpoint.REGISTER: "it answered 500"}, {Endpoint.REGISTER})

    def test_a_service_that_says_when_opens_it_at_once(self, app):
        self.fail(1, retry_after=100)

        pause = circuit(app, Endpoint.REGISTER).retry_at - utcnow()
        assert timedelta(seconds=99) < pause < timedelta(seconds=121)

    def test_each_is_its_own(self):
        self.fail(3)
        with transaction():
            access.open_circuit(Endpoint.AUTH, "the credentials are refused", 60)

        assert self.failing() == {Endpoint.REGISTER, Endpoint.AUTH}
        assert self.pauses() == {
            Endpoint.REGISTER: "it answered 500",
            Endpoint.AUTH: "the credentials are refused",
        }

    @pytest.mark.parametrize(("failures", "seconds"), [(0, 5), (1, 10), (3, 40), (4, 60), (10_000, 60)])
    def test_each_failure_in_a_row_makes_the_pause_longer_up_to_a_minute(self, app, failures, seconds):
        edit(app, Circuit, Circuit.endpoint == Endpoint.OFFERS, failures=failures)
        with transaction():
            access.open_circuit(Endpoint.OFFERS, "timed out")

        row = circuit(app, Endpoint.OFFERS)
        assert row.failures == failures + 1
        assert timedelta(seconds=seconds - 1) < row.retry_at - utcnow() < timedelta(seconds=1.2 * seconds + 1)

    def test_a_pause_that_is_over_keeps_the_failure_in_mind(self, app):
        self.fail(3)
        edit(app, Circuit, Circuit.endpoint == Endpoint.REGISTER, retry_at=utcnow() - timedelta(seconds=1))

        assert (self.pauses(), self.failing()) == ({}, {Endpoint.REGISTER})

    def test_one_whose_pause_is_over_is_closed_by_an_answer_as_well(self, app):
        self.fail(3)
        edit(app, Circuit, Circuit.endpoint == Endpoint.REGISTER, retry_at=utcnow() - timedelta(seconds=1))

        with transaction():
            assert access.close_circuit(Endpoint.REGISTER)
        assert self.failing() == set()
        row = circuit(app, Endpoint.REGISTER)
        assert (row.failures, row.reason, row.retry_at) == (0, None, None)

    def test_an_answer_takes_back_the_tolerated_failures_and_tells_that_it_was_not_open(self, app):
        self.fail(2)
        assert circuit(app, Endpoint.REGISTER).failures == 2

        with transaction():
            assert not access.close_circuit(Endpoint.REGISTER)
        row = circuit(app, Endpoint.REGISTER)
        assert (row.failures, row.reason, row.retry_at) == (0, None, None)

    def test_an_answer_closes_it_and_tells_that_it_was_open(self):
        self.fail(3)

        with transaction():
            assert access.close_circuit(Endpoint.REGISTER)
            assert not access.close_circuit(Endpoint.REGISTER)
            assert not access.close_circuit(Endpoint.OFFERS)
        assert (self.pauses(), self.failing()) == ({}, set())


def test_a_pause_is_never_shorter_than_asked_for_and_never_the_same_for_all():
    pauses = {access.jittered(10) for _ in range(50)}

    assert len(pauses) > 40
    assert all(10 <= pause <= 12 for pause in pauses)
