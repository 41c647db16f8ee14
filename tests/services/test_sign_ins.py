"""Sign-ins: families of refresh tokens, of which the last one counts."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.models import Role, SignIn, User
from aggregator.services import sign_ins
from aggregator.services.sign_ins import GRACE, KEPT, Principal
from tests.builders import edit, make_user, stored

pytestmark = pytest.mark.usefixtures("context")

DAY = timedelta(1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def user(app) -> UUID:
    return make_user(app)


def begin(user_id: UUID, now: datetime, life: timedelta = DAY) -> UUID:
    """A new sign-in of a user; it is of the first generation."""
    with transaction():
        return sign_ins.begin(db.session.get_one(User, user_id), now, life).id


def refresh(sign_in: UUID, user: UUID, generation: int, now: datetime) -> int | None:
    """The generation that is given out in exchange for one; None for none."""
    with transaction():
        renewed = sign_ins.refresh(sign_in, user, generation, now, DAY)
        return renewed and renewed.generation


def the_sign_in(app: Flask, sign_in: UUID) -> SignIn:
    (row,) = stored(app, SignIn, SignIn.id == sign_in)
    return row


class TestBegin:
    def test_is_of_the_first_generation_and_lasts_for_its_life(self, app, user, now):
        row = the_sign_in(app, begin(user, now))

        assert (row.user_id, row.generation, row.refreshed_at) == (user, 1, now)
        assert (row.expires_at, row.ended_at) == (now + DAY, None)

    def test_each_is_one_of_its_own(self, app, user, now):
        assert begin(user, now) != begin(user, now)
        assert len(stored(app, SignIn)) == 2


class TestRefresh:
    def test_the_last_generation_buys_the_next(self, app, user, now):
        sign_in = begin(user, now)

        assert refresh(sign_in, user, 1, now + SECOND) == 2
        assert refresh(sign_in, user, 2, now + 2 * SECOND) == 3
        row = the_sign_in(app, sign_in)
        assert (row.generation, row.refreshed_at, row.expires_at) == (3, now + 2 * SECOND, now + 2 * SECOND + DAY)
        assert row.ended_at is None

    def test_one_that_is_used_again_at_once_buys_the_same_next(self, app, user, now):
        sign_in = begin(user, now)
        refresh(sign_in, user, 1, now)
        before = the_sign_in(app, sign_in)

        assert [refresh(sign_in, user, 1, now + seconds) for seconds in (0 * SECOND, SECOND, GRACE)] == [2, 2, 2]
        after = the_sign_in(app, sign_in)
        assert (after.generation, after.refreshed_at, after.expires_at) == (2, before.refreshed_at, before.expires_at)
        assert refresh(sign_in, user, 2, now + GRACE) == 3

    def test_one_that_is_being_used_waits_for_what_that_buys(self, app, user, now):
        def use_again(sign_in: UUID) -> int | None:
            with app.app_context():
                return refresh(sign_in, user, 1, now + SECOND)

        sign_in = begin(user, now)
        with ThreadPoolExecutor(1) as threads:
            with transaction():
                sign_ins.refresh(sign_in, user, 1, now, DAY)
                db.session.flush()
                other = threads.submit(use_again, sign_in)
                with pytest.raises(TimeoutError):
                    other.result(0.3)
            assert other.result(10) == 2

        assert (the_sign_in(app, sign_in).generation, the_sign_in(app, sign_in).refreshed_at) == (2, now)

    def test_ten_seconds_are_at_once_and_more_are_not(self):
        assert timedelta(seconds=10) == GRACE

    def test_one_that_is_used_again_later_ends_it(self, app, user, now):
        sign_in = begin(user, now)
        refresh(sign_in, user, 1, now)
        later = now + GRACE + timedelta(microseconds=1000)

        assert refresh(sign_in, user, 1, later) is None
        assert the_sign_in(app, sign_in).ended_at == later
        assert refresh(sign_in, user, 2, later) is None

    def test_one_before_the_last_but_one_ends_it_at_any_time(self, app, user, now):
        sign_in = begin(user, now)
        refresh(sign_in, user, 1, now)
        refresh(sign_in, user, 2, now)

        assert refresh(sign_in, user, 1, now) is None
        assert the_sign_in(app, sign_in).ended_at == now
        assert refresh(sign_in, user, 3, now) is None

    @pytest.mark.parametrize("generation", [-1, 0, 2, 10**30])
    def test_one_that_was_never_given_out_ends_it(self, app, user, now, generation):
        sign_in = begin(user, now)

        assert refresh(sign_in, user, generation, now + GRACE + SECOND) is None
        assert the_sign_in(app, sign_in).ended_at == now + GRACE + SECOND

    def test_leaves_other_sign_ins_alone(self, app, user, now):
        stolen, other = begin(user, now), begin(user, now)
        refresh(stolen, user, 1, now)
        refresh(stolen, user, 1, now + GRACE + SECOND)

        assert the_sign_in(app, other).ended_at is None
        assert refresh(other, user, 1, now + GRACE + SECOND) == 2

    def test_an_expired_one_buys_nothing_and_is_no_theft(self, app, user, now):
        sign_in = begin(user, now)

        assert refresh(sign_in, user, 1, now + DAY) is None
        assert refresh(sign_in, user, 1, now + DAY - SECOND) == 2

    def test_an_ended_one_buys_nothing(self, app, user, now):
        sign_in = begin(user, now)
        with transaction():
            sign_ins.end(sign_in, now)

        assert refresh(sign_in, user, 1, now) is None

    def test_somebody_elses_buys_nothing_and_is_left_alone(self, app, user, now):
        sign_in = begin(user, now)

        assert refresh(sign_in, make_user(app), 1, now) is None
        assert refresh(uuid4(), user, 1, now) is None
        assert refresh(sign_in, user, 1, now) == 2

    def test_that_of_a_deactivated_user_buys_nothing(self, app, user, now):
        sign_in = begin(user, now)
        edit(app, User, active=False)

        assert refresh(sign_in, user, 1, now) is None


class TestEnd:
    def test_one_ends_and_others_go_on(self, app, user, now):
        first, second = begin(user, now), begin(user, now)
        with transaction():
            sign_ins.end(first, now + SECOND)

        assert the_sign_in(app, first).ended_at == now + SECOND
        assert the_sign_in(app, second).ended_at is None

    def test_all_of_a_user_end(self, app, user, now):
        mine, others = {begin(user, now), begin(user, now)}, begin(make_user(app), now)
        with transaction():
            sign_ins.end_all(user, now + SECOND)

        assert {row.id for row in stored(app, SignIn, SignIn.ended_at == now + SECOND)} == mine
        assert the_sign_in(app, others).ended_at is None

    def test_all_but_one_end(self, app, user, now):
        first, second = begin(user, now), begin(user, now)
        with transaction():
            sign_ins.end_all(user, now + SECOND, but=first)

        assert the_sign_in(app, first).ended_at is None
        assert the_sign_in(app, second).ended_at == now + SECOND

    def test_what_has_ended_does_not_end_again(self, app, user, now):
        sign_in = begin(user, now)
        for later in (SECOND, 2 * SECOND):
            with transaction():
                sign_ins.end_all(user, now + later)

        assert the_sign_in(app, sign_in).ended_at == now + SECOND


class TestPrincipal:
    def test_is_who_has_signed_in_with_their_role(self, app):
        admin = make_user(app, Role.ADMIN)
        sign_in = begin(admin, utcnow())

        assert sign_ins.principal(sign_in, admin) == Principal(admin, Role.ADMIN, sign_in)

    def test_the_role_is_that_of_this_moment(self, app, user):
        sign_in = begin(user, utcnow())
        roles = []
        for role in (Role.ADMIN, Role.CUSTOMER):
            edit(app, User, User.id == user, role=role)
            roles.append(sign_ins.principal(sign_in, user).role)

        assert roles == [Role.ADMIN, Role.CUSTOMER]

    def test_who_has_signed_out_is_nobody(self, user):
        sign_in = begin(user, utcnow())
        with transaction():
            sign_ins.end(sign_in, utcnow())

        assert sign_ins.principal(sign_in, user) is None

    def test_whose_sign_in_has_expired_is_nobody(self, user):
        sign_in = begin(user, utcnow() - DAY)

        assert sign_ins.principal(sign_in, user) is None

    def test_who_is_deactivated_is_nobody(self, app, user):
        sign_in = begin(user, utcnow())
        edit(app, User, active=False)

        assert sign_ins.principal(sign_in, user) is None

    def test_a_sign_in_of_another_or_none_is_nobodys(self, app, user):
        sign_in = begin(user, utcnow())

        assert sign_ins.principal(sign_in, make_user(app)) is None
        assert sign_ins.principal(uuid4(), user) is None


class TestExpire:
    def test_forgets_those_that_were_over_a_week_ago(self, app, user, now):
        begin(user, now - DAY - KEPT - SECOND)
        kept = {begin(user, now - DAY - KEPT), begin(user, now - DAY), begin(user, now)}

        with transaction():
            assert sign_ins.expire(now) == 1
        assert {row.id for row in stored(app, SignIn)} == kept

    def test_takes_no_more_than_a_batch(self, app, user, now, monkeypatch):
        monkeypatch.setattr(sign_ins, "EXPIRED_AT_ONCE", 2)
        for _ in range(3):
            begin(user, now - DAY - KEPT - SECOND)

        forgotten = []
        for _ in range(3):
            with transaction():
                forgotten.append(sign_ins.expire(now))
        assert forgotten == [2, 1, 0]
