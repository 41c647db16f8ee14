"""Accounts: who there is, and what may be changed about them."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from aggregator.clock import utcnow
from aggregator.database import db, in_transaction, transaction
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.folding import folded
from aggregator.models import Role, SignIn, User
from aggregator.services import account_reads, accounts
from aggregator.services.accounts import Credentials, checked, checked_email, login_key
from tests.builders import LONG_AGO, edit, make_user, sign_in, stored

GOOD = ("alice", "alice@example.com", "correct horse")
NAME_RULE = ["Must have 3 to 80 letters, digits, dots, hyphens or underscores."]
LAST_ADMIN = "This is the last admin; make somebody else one first."


def add(username: str, email: str, now: datetime, role: Role = Role.CUSTOMER) -> UUID:
    with transaction():
        return accounts.add(username, email, "a hash", role, now)


def the_user(app: Flask, user_id: UUID) -> User:
    (user,) = stored(app, User, User.id == user_id)
    return user


def errors(username: str, email: str, password: str) -> dict[str, list[str]]:
    """What is said of a name, an address and a password that will not do."""
    with pytest.raises(Invalid) as refusal:
        checked(username, email, password)
    return refusal.value.extra["errors"]["json"]


def signed_in(app: Flask) -> set[UUID]:
    """The users with a sign-in that has not ended."""
    return {row.user_id for row in stored(app, SignIn, SignIn.ended_at.is_(None))}


class TestChecked:
    @pytest.mark.parametrize(
        ("username", "expected"),
        [
            ("bob", "bob"),
            ("B.o-b_7", "B.o-b_7"),
            ("7bob", "7bob"),
            ("Žofie", "Žofie"),
            ("Z\u030cofie", "Žofie"),
            ("\uff41lice", "alice"),
            ("アリス", "アリス"),
            ("x" * 80, "x" * 80),
        ],
    )
    def test_a_name_that_will_do_is_stored_in_one_form(self, username, expected):
        assert checked(username, "b@example.com", "correct horse") == (expected, "b@example.com")

    @pytest.mark.parametrize(
        "username",
        [
            "",
            "ab",
            "x" * 81,
            "bob smith",
            " bob",
            "bob\n",
            "bob@example.com",
            "@bob",
            ".bob",
            "-bob",
            "_bob",
            "bob!",
            "bob/../admin",
            "<b>bob</b>",
            "bob\u200b",
            "bob\0",
            "bob\ud800",
            "\ufdfa" * 8,
        ],
    )
    def test_a_name_that_will_not_is_refused(self, username):
        assert errors(username, *GOOD[1:]) == {"username": NAME_RULE}

    @pytest.mark.parametrize(
        ("email", "expected"),
        [
            ("Alice.B+shop@Example.COM", "Alice.B+shop@example.com"),
            ("alice@sub.example.co.uk", "alice@sub.example.co.uk"),
            ("alice@xn--tda.example.com", "alice@ü.example.com"),
            ("alice@shop.test", "alice@shop.test"),
            ("alice@mail.shop.TEST", "alice@mail.shop.test"),
        ],
    )
    def test_an_address_is_stored_in_one_form(self, email, expected):
        assert checked_email(email) == expected
        assert checked("alice", email, "correct horse") == ("alice", expected)

    @pytest.mark.parametrize(
        "email",
        [
            "",
            "alice",
            "alice@",
            "@example.com",
            "alice@example",
            "alice@localhost",
            "alice@shop.localhost",
            "alice@shop.local",
            "alice@shop.invalid",
            "alice@127.0.0.1",
            "a b@example.com",
            "alice@exa mple.com",
            "alice@@example.com",
            "alice@example..com",
            "alice@example.com\nBcc: bob@example.com",
            "Alice <alice@example.com>",
            "alicé@example.com",
            "alice\0@example.com",
            "alice\ud800@example.com",
            f"alice@{'x' * 250}.com",
        ],
    )
    def test_what_is_no_address_is_refused(self, email):
        with pytest.raises(Invalid) as refusal:
            checked_email(email)
        assert refusal.value.extra["errors"] == {"json": {"email": ["Not an address."]}}
        assert errors("alice", email, "correct horse") == {"email": ["Not an address."]}

    @pytest.mark.parametrize("password", ["short", "password", "QuillFeather", "quill@example.com"])
    def test_a_password_that_will_not_do_is_refused(self, password):
        assert list(errors("quillfeather", "quill@example.com", password)) == ["password"]

    def test_a_password_may_not_be_the_name_however_that_is_written(self):
        assert errors("\uff51uillfeather", "q@example.com", "quillfeather") == {
            "password": ["Must not be the name or the address."]
        }

    def test_all_that_will_not_do_is_named_at_once(self):
        assert set(errors("x", "y", "z")) == {"username", "email", "password"}


class TestCheckedPassword:
    def test_one_that_will_do_is_that(self):
        accounts.checked_password("correct horse", "quillfeather", "feather.q@example.com")

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("short", "Must have 8 to 128 characters."),
            ("QUILLFEATHER", "Must not be the name or the address."),
            ("feather.q@example.com", "Must not be the name or the address."),
            ("feather.q", "Must not be the name or the address."),
        ],
    )
    def test_one_that_will_not_is_refused(self, password, reason):
        with pytest.raises(Invalid) as refusal:
            accounts.checked_password(password, "quillfeather", "feather.q@example.com")
        assert refusal.value.extra["errors"] == {"json": {"password": [reason]}}


@pytest.mark.usefixtures("context")
class TestAdd:
    def test_a_new_user_is_as_they_were_told(self, app, now):
        user = the_user(app, add("Alice", "Alice@example.com", now, Role.ADMIN))

        assert (user.username, user.username_key) == ("Alice", "alice")
        assert (user.email, user.email_key) == ("Alice@example.com", "alice@example.com")
        assert (user.password_hash, user.role, user.active) == ("a hash", Role.ADMIN, True)
        assert (user.created_at, user.updated_at) == (now, now)

    @pytest.mark.parametrize(
        ("username", "email"),
        [
            ("Straße", "other@example.com"),
            ("STRASSE", "other@example.com"),
            ("strasse", "other@example.com"),
            ("\uff53trasse", "other@example.com"),
            ("other", "strasse@example.com"),
            ("other", "STRASSE@EXAMPLE.COM"),
        ],
    )
    def test_what_is_taken_in_any_case_is_a_conflict(self, app, now, username, email):
        add("Straße", "strasse@example.com", now)

        with pytest.raises(Conflict, match=r"^This name or address is taken\.$"):
            add(username, email, now)
        assert len(stored(app, User)) == 1

    def test_what_is_wrong_otherwise_is_no_conflict_whatever_the_row_says(self, app, now):
        words = "users.email_key uq_users_username_key"
        for username, email in ((f"{words} @", "a@example.com"), ("alice", words)):
            with pytest.raises(IntegrityError), transaction():  # each goes against a CHECK
                accounts.add(username, email, words, Role.CUSTOMER, now)
        assert stored(app, User) == []

    def test_of_many_who_want_a_name_at_once_one_gets_it(self, app, now):
        def work(number: int) -> bool:
            with app.app_context():
                try:
                    add("alice", f"alice-{number}@example.com", now)
                except Conflict:
                    return False
                return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(work, range(8))) == 1
        assert len(stored(app, User)) == 1


@pytest.mark.usefixtures("context")
class TestCredentials:
    @pytest.mark.parametrize(
        "login", ["Žofie", "žofie", "ŽOFIE", "Z\u030cofie", "Zofie@Example.com", "zofie@example.com"]
    )
    def test_are_found_by_name_and_by_address_in_any_case(self, app, login):
        user = make_user(app, username="Žofie", email="zofie@example.com", password_hash="a hash")
        make_user(app)

        assert accounts.credentials(login) == Credentials(user, "a hash", True)

    def test_say_who_is_deactivated(self, app):
        make_user(app, username="alice", active=False)

        assert accounts.credentials("alice").active is False

    @pytest.mark.parametrize("login", ["", "ali", "alice@", "alice%", "%", "_lice", "' OR 1=1 --", "alice@example.org"])
    def test_of_nobody_there_are_none(self, app, login):
        make_user(app, username="alice", email="alice@example.com")

        assert accounts.credentials(login) is None


@pytest.mark.usefixtures("context")
class TestFind:
    def test_a_user_by_id_or_by_name_in_any_case(self, app):
        user = make_user(app, username="Žofie")

        with transaction():
            assert accounts.get(user).username == "Žofie"
        with transaction():
            assert accounts.named("žOFIE").id == user

    def test_what_is_not_there_is_not_found(self, app):
        make_user(app, username="alice", email="bob@example.com")

        for find in (lambda: accounts.get(uuid4()), lambda: accounts.named("bob@example.com")):
            with pytest.raises(NotFound, match="no"), transaction():
                find()

    def test_everybody_comes_by_name(self, app):
        for name, role in (("carol", Role.ADMIN), ("Bob", Role.CUSTOMER), ("alice", Role.ADMIN)):
            make_user(app, role, username=name)

        def names(role: Role | None = None) -> list[str]:
            return [user.username for user in accounts.everybody(role)]

        with transaction():
            assert names() == ["alice", "Bob", "carol"]
            assert names(Role.ADMIN) == ["alice", "carol"]
            assert names(Role.CUSTOMER) == ["Bob"]


@pytest.mark.usefixtures("context")
class TestChangeEmail:
    def test_the_new_address_takes_the_place_of_the_old(self, app, now):
        user_id = make_user(app, email="old@example.com")
        with transaction():
            accounts.change_email(accounts.get(user_id), "New@example.com", now)

        user = the_user(app, user_id)
        assert (user.email, user.email_key, user.updated_at) == ("New@example.com", "new@example.com", now)
        assert add("another", "old@example.com", now)

    def test_somebody_elses_in_any_case_is_a_conflict(self, app, now):
        user_id = make_user(app, email="mine@example.com")
        make_user(app, email="taken@example.com")

        with pytest.raises(Conflict, match="taken"), transaction():
            accounts.change_email(accounts.get(user_id), "TAKEN@example.com", now)
        assert the_user(app, user_id).email == "mine@example.com"

    def test_ones_own_in_another_case_is_none(self, app, now):
        user_id = make_user(app, email="mine@example.com")
        with transaction():
            accounts.change_email(accounts.get(user_id), "MINE@example.com", now)

        assert the_user(app, user_id).email == "MINE@example.com"


@pytest.mark.usefixtures("context")
class TestSetPassword:
    def test_ends_what_was_begun_with_the_old_one(self, app, now):
        user_id, other = make_user(app), make_user(app)
        for user in (user_id, user_id, other):
            sign_in(app, user)
        with transaction():
            accounts.set_password(accounts.get(user_id), "another hash", now)

        user = the_user(app, user_id)
        assert (user.password_hash, user.updated_at) == ("another hash", now)
        assert signed_in(app) == {other}

    def test_but_for_one_where_that_is_wanted(self, app, now):
        user_id = make_user(app)
        for _ in range(3):
            sign_in(app, user_id)
        kept = stored(app, SignIn)[1].id
        with transaction():
            accounts.set_password(accounts.get(user_id), "another hash", now, but=kept)

        assert [row.id for row in stored(app, SignIn, SignIn.ended_at.is_(None))] == [kept]


@pytest.mark.usefixtures("context")
class TestChange:
    def change(self, user_id: UUID, now: datetime, **fields: object) -> None:
        with transaction():
            accounts.change(user_id, fields, now)

    def test_a_role_is_changed_and_all_sign_ins_end(self, app, now):
        user_id, other = make_user(app), make_user(app)
        for user in (user_id, user_id, other):
            sign_in(app, user)
        self.change(user_id, now, role=Role.ADMIN)

        user = the_user(app, user_id)
        assert (user.role, user.active, user.updated_at) == (Role.ADMIN, True, now)
        assert signed_in(app) == {other}

    def test_who_is_deactivated_is_signed_out_and_may_be_activated_again(self, app, now):
        user_id = make_user(app)
        sign_in(app, user_id)
        self.change(user_id, now, active=False)

        assert the_user(app, user_id).active is False
        assert signed_in(app) == set()
        self.change(user_id, now, active=True)
        assert the_user(app, user_id).active is True

    @pytest.mark.parametrize("fields", [{}, {"role": Role.CUSTOMER}, {"active": True}])
    def test_what_is_so_already_is_no_change(self, app, now, fields):
        user_id = make_user(app)
        sign_in(app, user_id)
        self.change(user_id, now, **fields)

        assert the_user(app, user_id).updated_at == LONG_AGO
        assert signed_in(app) == {user_id}

    @pytest.mark.parametrize("fields", [{"role": Role.CUSTOMER}, {"active": False}])
    def test_the_last_admin_stays_one(self, app, now, fields):
        admin = make_user(app, Role.ADMIN)
        make_user(app, Role.ADMIN, active=False)
        make_user(app)
        sign_in(app, admin)

        with pytest.raises(Conflict) as refusal:
            self.change(admin, now, **fields)
        user = the_user(app, admin)
        assert refusal.value.detail == LAST_ADMIN
        assert (user.role, user.active, user.updated_at) == (Role.ADMIN, True, LONG_AGO)
        assert signed_in(app) == {admin}

    @pytest.mark.parametrize("fields", [{"role": Role.CUSTOMER}, {"active": False}])
    def test_the_last_but_one_need_not(self, app, now, fields):
        first, second = make_user(app, Role.ADMIN), make_user(app, Role.ADMIN)
        self.change(first, now, **fields)

        with pytest.raises(Conflict):
            self.change(second, now, **fields)

    def test_an_admin_who_is_deactivated_counts_for_none(self, app, now):
        make_user(app, Role.ADMIN)
        self.change(make_user(app, Role.ADMIN, active=False), now, role=Role.CUSTOMER)

        assert len(stored(app, User, User.role == Role.ADMIN)) == 1

    def test_nobody_can_be_changed(self, app, now):
        make_user(app, Role.ADMIN)

        with pytest.raises(NotFound):
            self.change(uuid4(), now, active=False)

    @pytest.mark.parametrize("fields", [{"role": Role.CUSTOMER}, {"active": False}])
    def test_of_admins_who_remove_each_other_at_once_one_stays(self, app, fields):
        admins = [make_user(app, Role.ADMIN) for _ in range(3)]
        start = Barrier(3)

        def work(user_id: UUID) -> bool:
            with app.app_context():
                start.wait()
                try:
                    in_transaction(lambda: accounts.change(user_id, fields, utcnow()))
                except Conflict:
                    return False
                return True

        with ThreadPoolExecutor(3) as threads:
            for _ in range(4):
                assert sorted(threads.map(work, admins)) == [False, True, True]
                assert len(stored(app, User, User.role == Role.ADMIN, User.active)) == 1
                edit(app, User, role=Role.ADMIN, active=True)

    def test_whoever_waits_for_an_admin_to_leave_sees_that_they_have_left(self, app, now):
        first, second = make_user(app, Role.ADMIN), make_user(app, Role.ADMIN)

        def leave() -> None:
            with app.app_context():
                self.change(second, now, active=False)

        with ThreadPoolExecutor(1) as threads:
            with transaction():
                accounts.change(first, {"active": False}, now)
                db.session.flush()
                other = threads.submit(leave)
                with pytest.raises(TimeoutError):
                    other.result(0.3)
            with pytest.raises(Conflict):
                other.result(10)


@pytest.mark.usefixtures("context")
class TestReads:
    def shown(self, **query: object) -> list[str]:
        position = {"sort": None, "size": 100} | {name: query.pop(name) for name in ("sort", "size") if name in query}
        return [user["username"] for user in json.loads(account_reads.page(query, **position).text)]

    def test_a_user_is_shown_without_what_lets_one_sign_in(self, app):
        user_id = make_user(app, Role.ADMIN, username="Alice", email="alice@example.com", active=False)

        assert json.loads(account_reads.find(user_id)) == {
            "id": str(user_id),
            "username": "Alice",
            "email": "alice@example.com",
            "role": "admin",
            "active": False,
            "email_confirmed": True,
            "mail_alerts": True,
            "mail_daily": True,
            "created_at": "2026-01-02T03:04:05.678901Z",
            "updated_at": "2026-01-02T03:04:05.678901Z",
        }

    def test_nobody_is_not_found(self):
        with pytest.raises(NotFound, match="no such user"):
            account_reads.find(uuid4())

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({}, ["alice", "Bob", "carol", "Žofie"]),
            ({"sort": "-username"}, ["Žofie", "carol", "Bob", "alice"]),
            ({"sort": "email"}, ["Žofie", "carol", "Bob", "alice"]),
            ({"sort": "-created_at"}, ["Žofie", "carol", "Bob", "alice"]),
            ({"size": 2}, ["alice", "Bob"]),
            ({"q": "I"}, ["alice", "Žofie"]),
            ({"q": "žof"}, ["Žofie"]),
            ({"q": "ŽOF"}, ["Žofie"]),
            ({"q": "@B.example"}, ["carol"]),
            ({"q": "%"}, []),
            ({"q": "_"}, []),
            ({"role": Role.ADMIN}, ["alice", "carol"]),
            ({"role": Role.CUSTOMER}, ["Bob", "Žofie"]),
            ({"active": True}, ["alice", "Bob", "Žofie"]),
            ({"active": False}, ["carol"]),
            ({"active": True, "role": Role.ADMIN, "q": "li"}, ["alice"]),
        ],
    )
    def test_a_list_can_be_searched_filtered_and_sorted(self, app, query: dict, expected: Sequence[str]):
        users = [("alice", "d", Role.ADMIN), ("Bob", "c", Role.CUSTOMER), ("carol", "b", Role.ADMIN)]
        for number, (name, domain, role) in enumerate([*users, ("Žofie", "a", Role.CUSTOMER)]):
            make_user(
                app,
                role,
                username=name,
                email=f"{domain}@{domain}.example.com",
                active=name != "carol",
                created_at=LONG_AGO + timedelta(number),
            )

        assert self.shown(**query) == expected


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("Alice", "alice"),
        ("Alice@Example.COM", "alice@example.com"),
        ("alice@xn--tda.example.com", "alice@ü.example.com"),
        ("alice@\u0075\u0308.example.com", "alice@ü.example.com"),
        ("alice@Ü.example.com", "alice@ü.example.com"),
        ("alice@example。com", "alice@example.com"),
        ("Alice@localhost", "alice@localhost"),
        ("@Alice@", "@alice@"),
        ("alice\ud800@example.com", "alice\ud800@example.com"),
        ("", ""),
    ],
)
def test_an_address_at_the_login_is_brought_into_the_form_that_is_stored(login, expected):
    assert login_key(login) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Alice", "alice"), ("Straße", "strasse"), ("\uff41lice", "alice"), ("Z\u030cofie", "žofie"), ("ﬁsh", "fish")],
)
def test_names_are_compared_without_regard_to_case_and_form(text, expected):
    assert folded(text) == folded(expected) == expected
