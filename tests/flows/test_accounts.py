"""Signing up and in, and what may happen between the check of a password and its use."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from threading import Barrier, Event, Semaphore
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from argon2 import PasswordHasher
from flask import Flask

from aggregator.clock import utcnow
from aggregator.errors import AccountTaken, Conflict, Invalid, NotFound, TooMany, Unauthorized, WrongCredentials
from aggregator.flows import accounts
from aggregator.flows.accounts import AccountLimits, Authenticator, MyChange, Passwords
from aggregator.flows.limits import Limit, Limits
from aggregator.models import Role, SignIn, User
from aggregator.services import passwords
from aggregator.services.sign_ins import Principal
from tests.builders import edit, make_user, sign_in, stored

pytestmark = pytest.mark.usefixtures("context")

OLD, NEW, WRONG = "correct horse", "battery staple", "incorrect horse"
HERE, THERE = "192.0.2.1", "192.0.2.2"
DAY = timedelta(1)
PATIENCE = 10.0  # seconds
cheap_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(Limits(), AccountLimits.of(per_address=1000, per_account=1000, registrations=1000), DAY)


@pytest.fixture
def strict() -> Authenticator:
    """An authenticator at which an account can be tried three times."""
    return Authenticator(Limits(), AccountLimits.of(per_address=1000, per_account=3, registrations=1000), DAY)


@pytest.fixture
def alice(app) -> UUID:
    return make_user(app, username="alice", email="alice@example.com", password_hash=passwords.hashed(OLD))


def the_user(app: Flask, user_id: UUID) -> User:
    (user,) = stored(app, User, User.id == user_id)
    return user


def living(app: Flask) -> list[UUID]:
    """The sign-ins that have not ended."""
    return [row.id for row in stored(app, SignIn, SignIn.ended_at.is_(None))]


def as_(sign_in: SignIn) -> Principal:
    """Who has signed in, as a request knows them."""
    return Principal(sign_in.user_id, Role.CUSTOMER, sign_in.id)


class Turnstile(Semaphore):
    """Turns to hash a password, none of which is given before it opens; it knows when somebody wants one."""

    def __init__(self) -> None:
        super().__init__(0)
        self.reached = Event()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().acquire(blocking, timeout)


@pytest.fixture
def meanwhile(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Future[Any]]]:
    """Work of another thread that has come as far as to its password, where it is held until the context ends."""

    @contextmanager
    def hold(work: Callable[[], object]) -> Iterator[Future[Any]]:
        turnstile = Turnstile()
        monkeypatch.setattr(passwords, "_turn", turnstile)
        with ThreadPoolExecutor(1) as threads:
            future = threads.submit(in_context, work)
            assert turnstile.reached.wait(PATIENCE)
            yield future
            turnstile.release(2)

    def in_context(work: Callable[[], object]) -> object:
        with app.app_context():
            return work()

    return hold


class TestRegister:
    def test_makes_a_customer_who_can_sign_in(self, app, authenticator):
        fields = {"username": "alice", "email": "Alice@Example.com", "password": OLD}
        user = the_user(app, authenticator.register(fields, HERE))

        assert (user.username, user.email, user.role, user.active) == (
            "alice",
            "Alice@example.com",
            Role.CUSTOMER,
            True,
        )
        assert abs(user.created_at - utcnow()) < timedelta(minutes=1)
        assert authenticator.login("alice", OLD, HERE).user_id == user.id

    def test_keeps_the_password_as_a_hash(self, app, authenticator):
        authenticator.register({"username": "alice", "email": "alice@example.com", "password": OLD}, HERE)

        (user,) = stored(app, User)
        assert user.password_hash.startswith("$argon2id$v=19$")
        assert OLD not in user.password_hash

    def test_a_network_may_make_so_many_and_no_more(self, app):
        authenticator = Authenticator(Limits(), AccountLimits.of(per_address=1, per_account=1, registrations=2), DAY)

        def register(address: str) -> UUID:
            name = f"user-{uuid4()}"
            return authenticator.register({"username": name, "email": f"{name}@example.com", "password": OLD}, address)

        register(HERE)
        register(HERE)
        with pytest.raises(TooMany):
            register(HERE)
        register(THERE)
        assert len(stored(app, User)) == 3

    def test_a_try_that_fails_counts_as_well(self, app):
        authenticator = Authenticator(Limits(), AccountLimits.of(per_address=1, per_account=1, registrations=1), DAY)
        with pytest.raises(Invalid):
            authenticator.register({"username": "x", "email": "x", "password": "x"}, HERE)

        with pytest.raises(TooMany):
            authenticator.register({"username": "alice", "email": "alice@example.com", "password": OLD}, HERE)
        assert stored(app, User) == []


class TestLogin:
    @pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.com", "Alice@Example.COM"])
    def test_by_name_or_address_begins_a_sign_in(self, app, authenticator, alice, name):
        begun = authenticator.login(name, OLD, HERE)

        (row,) = stored(app, SignIn)
        assert (row.id, row.user_id, row.generation, row.ended_at) == (begun.id, alice, 1, None)
        assert row.expires_at - row.refreshed_at == DAY
        assert abs(row.refreshed_at - utcnow()) < timedelta(minutes=1)

    @pytest.mark.parametrize(("name", "password"), [("alice", WRONG), ("bob", OLD), ("", ""), ("alice", "")])
    def test_what_is_wrong_is_not_said(self, app, authenticator, alice, name, password):
        with pytest.raises(Unauthorized, match=r"^The name or the password is wrong\.$"):
            authenticator.login(name, password, HERE)
        assert stored(app, SignIn) == []

    def test_who_is_deactivated_is_told_no_more(self, app, authenticator, alice):
        edit(app, User, active=False)

        with pytest.raises(Unauthorized, match=r"^The name or the password is wrong\.$"):
            authenticator.login("alice", OLD, HERE)
        assert stored(app, SignIn) == []

    def test_a_hash_of_former_times_is_replaced(self, app, authenticator, alice):
        edit(app, User, password_hash=cheap_hash(OLD))
        first = authenticator.login("alice", OLD, HERE)

        (user,) = stored(app, User)
        assert passwords.matches(user.password_hash, OLD) == passwords.Match(good=True, outdated=False)
        assert living(app) == [first.id]

    def test_a_hash_of_today_is_left_alone(self, app, authenticator, alice):
        before = the_user(app, alice)
        authenticator.login("alice", OLD, HERE)

        assert the_user(app, alice).password_hash == before.password_hash

    def test_a_wrong_password_replaces_no_hash(self, app, authenticator, alice):
        outdated = cheap_hash(OLD)
        edit(app, User, password_hash=outdated)
        with pytest.raises(Unauthorized):
            authenticator.login("alice", WRONG, HERE)

        assert the_user(app, alice).password_hash == outdated

    @pytest.mark.parametrize("change", [{"active": False}, {"password_hash": passwords.NOBODYS}])
    def test_who_is_shut_out_while_their_password_is_checked_does_not_come_in(
        self, app, authenticator, alice, meanwhile, change
    ):
        with meanwhile(lambda: authenticator.login("alice", OLD, HERE)) as login:
            edit(app, User, **change)

        with pytest.raises(Unauthorized, match=r"^The name or the password is wrong\.$"):
            login.result(PATIENCE)
        assert stored(app, SignIn) == []

    def test_others_can_write_while_a_password_is_checked(self, app, authenticator, alice, meanwhile):
        with meanwhile(lambda: authenticator.login("alice", OLD, HERE)) as login:
            make_user(app)

        assert login.result(PATIENCE).user_id == alice


class TestLimitsOfLogins:
    def attempts(
        self, authenticator: Authenticator, *names: str, password: str = WRONG, address: str = HERE
    ) -> list[type[Exception]]:
        found = []
        for name in names:
            with pytest.raises((Unauthorized, TooMany)) as refusal:
                authenticator.login(name, password, address)
            found.append(refusal.type)
        return found

    def test_are_so_many_in_so_long(self):
        assert AccountLimits.of(per_address=30, per_account=10, registrations=20) == AccountLimits(
            logins_per_address=Limit("login", 30, 60.0),
            logins_per_account=Limit("account", 10, 300.0),
            logins_anywhere=Limit("anywhere", 100, 300.0),
            logins_slowed=Limit("slowed", 1, 5.0),
            registrations_per_address=Limit("register", 20, 3600.0),
            confirmations_per_account=Limit("confirm account", 5, 3600.0),
            confirmations_per_network=Limit("confirm network", 20, 3600.0),
            confirmations_per_address=Limit("confirm address", 5, 86_400.0),
            emails_per_account=Limit("email", 10, 3600.0),
        )

    def test_name_and_address_are_one_account(self, strict, alice):
        assert self.attempts(strict, "alice", "Alice@Example.com", "ALICE", "alice@example.com", "alice") == [
            *[WrongCredentials] * 3,
            *[TooMany] * 2,
        ]
        assert self.attempts(strict, "alice", password=OLD) == [TooMany]
        assert strict.login("alice", OLD, THERE)

    def test_an_address_in_another_form_is_the_same_account(self, app, strict, alice):
        edit(app, User, email="alice@ü.example.com", email_key="alice@ü.example.com")

        forms = ("alice@xn--tda.example.com", "ALICE@Ü.example.com", "alice@u\u0308.example.com", "alice")
        assert self.attempts(strict, *forms) == [WrongCredentials] * 3 + [TooMany]

    def test_who_types_a_users_id_tries_no_account_but_that_name(self, strict, alice):
        self.attempts(strict, *[str(alice)] * 4, f"user:{alice}", f"name:{alice}")

        assert strict.login("alice", OLD, HERE)

    def test_a_name_of_nobody_is_an_account_too(self, strict, alice):
        assert self.attempts(strict, *["bob", "BOB"] * 2) == [WrongCredentials] * 3 + [TooMany]
        assert strict.login("alice", OLD, HERE)

    def test_who_comes_in_begins_to_count_anew(self, strict, alice):
        for _ in range(3):
            self.attempts(strict, "alice", "alice")
            strict.login("alice@example.com", OLD, HERE)

    def test_a_network_may_try_so_often_whatever_the_name(self, alice):
        authenticator = Authenticator(
            Limits(), AccountLimits.of(per_address=3, per_account=1000, registrations=1000), DAY
        )

        assert self.attempts(authenticator, "a", "b", "alice", "c") == [*[WrongCredentials] * 3, TooMany]
        assert self.attempts(authenticator, "alice", password=OLD) == [TooMany]
        assert authenticator.login("alice", OLD, THERE)

    def test_a_wrong_old_password_is_limited_and_counts_against_no_login(self, app, strict, alice):
        begun = strict.login("alice", OLD, HERE)
        for _ in range(3):
            with pytest.raises(Invalid):
                strict.change(as_(begun), HERE, MyChange(password=Passwords(WRONG, NEW)))

        with pytest.raises(TooMany):
            strict.change(as_(begun), HERE, MyChange(password=Passwords(OLD, NEW)))
        assert strict.login("alice", OLD, HERE)


class TestRefresh:
    def test_the_sign_in_lasts_from_now_on(self, app, authenticator, alice):
        begun = authenticator.login("alice", OLD, HERE)
        edit(app, SignIn, refreshed_at=utcnow() - DAY / 2, expires_at=utcnow() + DAY / 2)

        renewed = authenticator.refresh(begun.id, alice, 1)

        (row,) = stored(app, SignIn)
        assert (renewed.id, renewed.generation, row.generation) == (begun.id, 2, 2)
        assert row.expires_at - row.refreshed_at == DAY
        assert abs(row.refreshed_at - utcnow()) < timedelta(minutes=1)

    def test_a_theft_is_remembered_though_nothing_is_given_out(self, app, authenticator, alice):
        begun = authenticator.login("alice", OLD, HERE)
        authenticator.refresh(begun.id, alice, 1)
        edit(app, SignIn, refreshed_at=utcnow() - timedelta(seconds=15))

        assert authenticator.refresh(begun.id, alice, 1) is None
        assert living(app) == []

    def test_many_at_once_get_the_same_generation(self, app, authenticator, alice):
        begun = authenticator.login("alice", OLD, HERE)
        start = Barrier(16)

        def work(_: int) -> int:
            with app.app_context():
                start.wait(PATIENCE)
                return authenticator.refresh(begun.id, alice, 1).generation

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(work, range(16))) == [2] * 16
        assert living(app) == [begun.id]


class TestChangeOfAPassword:
    def test_the_new_one_lets_in_and_the_old_one_does_not(self, authenticator, alice):
        authenticator.change(as_(authenticator.login("alice", OLD, HERE)), HERE, MyChange(password=Passwords(OLD, NEW)))

        with pytest.raises(Unauthorized):
            authenticator.login("alice", OLD, HERE)
        assert authenticator.login("alice", NEW, HERE).user_id == alice

    def test_all_sign_ins_end_but_this_one(self, app, authenticator, alice):
        _, mine, _ = (authenticator.login("alice", OLD, HERE) for _ in range(3))
        sign_in(app, make_user(app))
        (others,) = {row.id for row in stored(app, SignIn, SignIn.user_id != alice)}
        authenticator.change(as_(mine), HERE, MyChange(password=Passwords(OLD, NEW)))

        assert set(living(app)) == {mine.id, others}

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            (Passwords(WRONG, NEW), "current_password"),
            (Passwords("", NEW), "current_password"),
            (Passwords(OLD, "short"), "password"),
            (Passwords(OLD, "new@Example.com"), "password"),
        ],
    )
    def test_one_that_will_not_do_changes_nothing(self, app, authenticator, alice, given, field):
        first, second = (authenticator.login("alice", OLD, HERE) for _ in range(2))

        with pytest.raises(Invalid) as refusal:
            authenticator.change(as_(first), HERE, MyChange(email="new@example.com", password=given))
        assert list(refusal.value.extra["errors"]["json"]) == [field]
        assert set(living(app)) == {first.id, second.id}
        assert passwords.matches(the_user(app, alice).password_hash, OLD)
        assert the_user(app, alice).email == "alice@example.com"

    def test_of_one_who_is_no_more_is_not_found(self, authenticator):
        with pytest.raises(NotFound):
            authenticator.change(
                Principal(uuid4(), Role.CUSTOMER, uuid4()), HERE, MyChange(password=Passwords(OLD, NEW))
            )

    def test_a_password_that_is_set_meanwhile_is_not_undone(self, app, authenticator, alice, meanwhile):
        begun = authenticator.login("alice", OLD, HERE)
        with meanwhile(
            lambda: authenticator.change(as_(begun), HERE, MyChange("new@example.com", Passwords(OLD, NEW)))
        ) as change:
            edit(app, User, password_hash=passwords.NOBODYS)

        with pytest.raises(Conflict, match=r"^The password has been changed meanwhile\.$"):
            change.result(PATIENCE)
        user = the_user(app, alice)
        assert (user.password_hash, user.email) == (passwords.NOBODYS, "alice@example.com")
        assert living(app) == [begun.id]


class TestChangeOfAnAddress:
    def test_takes_no_password_and_ends_no_sign_in(self, app, authenticator, alice):
        first, second = (authenticator.login("alice", OLD, HERE) for _ in range(2))
        authenticator.change(as_(first), HERE, MyChange(email="New@Example.ORG"))

        assert the_user(app, alice).email == "New@example.org"
        assert authenticator.login("new@example.org", OLD, HERE).user_id == alice
        assert {first.id, second.id} < set(living(app))

    def test_a_user_can_change_it_ten_times_an_hour(self, app, authenticator, alice):
        begun, bob = authenticator.login("alice", OLD, HERE), make_user(app)
        for number in range(10):
            authenticator.change(as_(begun), HERE, MyChange(f"alice-{number}@example.com"))

        with pytest.raises(TooMany) as refusal:
            authenticator.change(as_(begun), THERE, MyChange("alice@example.org"))
        assert 3500 < refusal.value.extra["retry_after"] <= 3600
        assert the_user(app, alice).email == "alice-9@example.com"
        authenticator.change(as_(begun), HERE, MyChange(password=Passwords(OLD, NEW)))
        authenticator.change(Principal(bob, Role.CUSTOMER, uuid4()), HERE, MyChange("bob@example.org"))

    def test_one_that_is_taken_counts_as_well(self, app, authenticator, alice):
        make_user(app, email="bob@example.com")
        begun = authenticator.login("alice", OLD, HERE)

        refusals = []
        for _ in range(11):
            with pytest.raises((Conflict, TooMany)) as refusal:
                authenticator.change(as_(begun), HERE, MyChange("bob@example.com"))
            refusals.append(refusal.type)
        assert refusals == [AccountTaken] * 10 + [TooMany]

    def test_it_is_as_good_as_a_registration_to_the_network(self, app, alice):
        authenticator = Authenticator(
            Limits(), AccountLimits.of(per_address=1000, per_account=1000, registrations=2), DAY
        )
        begun = authenticator.login("alice", OLD, HERE)
        authenticator.register({"username": "bob", "email": "bob@example.com", "password": OLD}, HERE)
        authenticator.change(as_(begun), HERE, MyChange("new@example.com"))

        with pytest.raises(TooMany):
            authenticator.change(as_(begun), HERE, MyChange("alice@example.com"))
        with pytest.raises(TooMany):
            authenticator.register({"username": "carol", "email": "carol@example.com", "password": OLD}, HERE)
        authenticator.change(as_(begun), THERE, MyChange("alice@example.com"))

    def test_both_can_be_changed_at_once(self, app, authenticator, alice):
        authenticator.change(
            as_(authenticator.login("alice", OLD, HERE)), HERE, MyChange("new@example.com", Passwords(OLD, NEW))
        )

        assert authenticator.login("new@example.com", NEW, HERE).user_id == alice

    def test_a_password_may_not_be_the_present_address_where_that_stays(self, authenticator, alice):
        begun = authenticator.login("alice", OLD, HERE)

        with pytest.raises(Invalid) as refusal:
            authenticator.change(as_(begun), HERE, MyChange(password=Passwords(OLD, "Alice@Example.com")))
        assert list(refusal.value.extra["errors"]["json"]) == ["password"]

    @pytest.mark.parametrize("given", [None, Passwords(OLD, NEW)], ids=["alone", "with a password"])
    @pytest.mark.parametrize(("email", "refusal"), [("nowhere", Invalid), ("BOB@example.com", Conflict)])
    def test_one_that_will_not_do_changes_nothing(self, app, authenticator, alice, email, given, refusal):
        make_user(app, email="bob@example.com")
        first, second = (authenticator.login("alice", OLD, HERE) for _ in range(2))

        with pytest.raises(refusal):
            authenticator.change(as_(first), HERE, MyChange(email, given))
        user = the_user(app, alice)
        assert user.email == "alice@example.com"
        assert passwords.matches(user.password_hash, OLD)
        assert set(living(app)) == {first.id, second.id}

    def test_an_address_that_will_not_do_costs_no_try(self, strict, alice):
        begun = strict.login("alice", OLD, HERE)
        for _ in range(4):
            with pytest.raises(Invalid, match="The request is invalid"):
                strict.change(as_(begun), HERE, MyChange("nowhere", Passwords(WRONG, NEW)))

        assert strict.login("alice", OLD, HERE)

    def test_nothing_to_change_changes_nothing(self, app, authenticator, alice):
        before = the_user(app, alice)
        begun = authenticator.login("alice", OLD, HERE)
        authenticator.change(as_(begun), HERE, MyChange())

        after = the_user(app, alice)
        assert (after.email, after.password_hash, after.updated_at) == (
            before.email,
            before.password_hash,
            before.updated_at,
        )


class TestWhatIsLogged:
    @pytest.fixture
    def events(self) -> Iterator[list[dict[str, Any]]]:
        with structlog.testing.capture_logs() as events:
            yield events

    def test_a_login_that_fails_with_the_reason_and_without_the_name(self, app, authenticator, alice, events):
        make_user(app, username="bob", password_hash=passwords.hashed(OLD), active=False)
        for name, password in (("alice", WRONG), ("nobody@example.com", OLD), ("bob", OLD)):
            with pytest.raises(Unauthorized):
                authenticator.login(name, password, HERE)

        assert events == [
            {"event": "login failed", "log_level": "info", "reason": reason}
            for reason in ("wrong password", "unknown name", "deactivated")
        ]

    def test_a_login_that_somebody_overtakes(self, app, authenticator, alice, meanwhile, events):
        with meanwhile(lambda: authenticator.login("alice", OLD, HERE)) as login:
            edit(app, User, active=False)
        with pytest.raises(Unauthorized):
            login.result(PATIENCE)

        assert [(event["event"], event["reason"]) for event in events] == [("login failed", "changed meanwhile")]

    def test_a_refresh_token_that_is_used_again_as_a_warning(self, app, authenticator, alice, events):
        begun = authenticator.login("alice", OLD, HERE)
        authenticator.refresh(begun.id, alice, 1)
        authenticator.refresh(begun.id, alice, 1)
        assert events == []
        edit(app, SignIn, refreshed_at=utcnow() - timedelta(seconds=15))
        authenticator.refresh(begun.id, alice, 1)

        assert events == [
            {
                "event": "refresh token reused",
                "log_level": "warning",
                "user_id": str(alice),
                "sign_in_id": str(begun.id),
            }
        ]

    def test_a_password_that_is_changed_or_set(self, authenticator, alice, events):
        begun = authenticator.login("alice", OLD, HERE)
        with pytest.raises(Invalid):
            authenticator.change(as_(begun), HERE, MyChange(password=Passwords(WRONG, NEW)))
        assert events == []
        authenticator.change(as_(begun), HERE, MyChange(password=Passwords(OLD, NEW)))
        authenticator.set_password("alice", OLD)

        assert events == [
            {"event": event, "log_level": "info", "user_id": str(alice)}
            for event in ("password changed", "password set")
        ]

    def test_a_role_that_is_given_and_who_is_deactivated_but_not_what_was_so_before(self, alice, events):
        for fields in ({"role": Role.CUSTOMER}, {"role": Role.ADMIN}, {"role": Role.CUSTOMER, "active": False}, {}):
            with suppress(Conflict):
                accounts.change_user(alice, fields)

        assert events == [{"event": "user changed", "log_level": "info", "user_id": str(alice), "role": Role.ADMIN}]

    def test_who_is_deactivated(self, alice, events):
        accounts.change_named("alice", active=False)

        assert events == [{"event": "user changed", "log_level": "info", "user_id": str(alice), "active": False}]


class TestFromTheShell:
    def test_a_user_of_any_role_can_be_added(self, app, authenticator):
        user = the_user(app, accounts.add_user("root", "root@example.com", OLD, Role.ADMIN))

        assert (user.username, user.email, user.role) == ("root", "root@example.com", Role.ADMIN)
        assert authenticator.login("root", OLD, HERE).user_id == user.id

    def test_one_that_will_not_do_is_refused(self, app, alice):
        with pytest.raises(Invalid) as refusal:
            accounts.add_user("x", "x", "x", Role.ADMIN)
        assert set(refusal.value.extra["errors"]["json"]) == {"username", "email", "password"}
        for taken in (("ALICE", "other@example.com"), ("other", "ALICE@example.com")):
            with pytest.raises(Conflict):
                accounts.add_user(*taken, OLD, Role.ADMIN)
        assert len(stored(app, User)) == 1

    def test_a_password_is_set_without_the_old_one_and_ends_all_sign_ins(self, app, authenticator, alice):
        authenticator.login("alice", OLD, HERE)
        authenticator.set_password("Alice", NEW)

        assert living(app) == []
        assert authenticator.login("alice", NEW, HERE).user_id == alice
        with pytest.raises(Unauthorized):
            authenticator.login("alice", OLD, HERE)

    def test_who_gets_a_new_password_may_try_it_at_once(self, strict, alice):
        for _ in range(4):
            with pytest.raises((Unauthorized, TooMany)):
                strict.login("alice", WRONG, HERE)
        strict.set_password("alice", NEW)

        assert strict.login("alice", NEW, HERE).user_id == alice

    def test_a_password_that_will_not_do_is_not_set(self, app, authenticator, alice):
        begun = authenticator.login("alice", OLD, HERE)

        with pytest.raises(Invalid):
            authenticator.set_password("alice", "alice")
        assert living(app) == [begun.id]

    def test_a_user_is_changed_and_signed_out(self, app, authenticator, alice):
        authenticator.login("alice", OLD, HERE)
        accounts.change_named("ALICE", role=Role.ADMIN)

        assert the_user(app, alice).role is Role.ADMIN
        assert living(app) == []

    def test_the_last_admin_stays(self, app):
        admin = make_user(app, Role.ADMIN, username="root")

        for fields in ({"role": Role.CUSTOMER}, {"active": False}):
            with pytest.raises(Conflict, match="last admin"):
                accounts.change_named("root", **fields)
        assert (the_user(app, admin).role, the_user(app, admin).active) == (Role.ADMIN, True)

    def test_of_two_who_remove_each_other_at_once_one_stays(self, app):
        names = ["root", "toor"]
        for name in names:
            make_user(app, Role.ADMIN, username=name)
        start = Barrier(2)

        def work(name: str) -> bool:
            with app.app_context():
                start.wait(PATIENCE)
                try:
                    accounts.change_named(name, active=False)
                except Conflict:
                    return False
                return True

        with ThreadPoolExecutor(2) as threads:
            for _ in range(2):
                assert sorted(threads.map(work, names)) == [False, True]
                edit(app, User, active=True)

    def test_nobody_is_not_found(self, authenticator):
        with pytest.raises(NotFound, match="There is no user named 'bob'"):
            accounts.change_named("bob", active=False)
        with pytest.raises(NotFound, match="There is no user named 'bob'"):
            authenticator.set_password("bob", NEW)
