"""flask users: who may do what, from the shell."""

import re
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask

from aggregator.models import Role, SignIn, User
from aggregator.services import passwords
from tests.builders import make_user, sign_in, stored

GOOD = "correct horse"
LAST_ADMIN = "Error: This is the last admin; make somebody else one first.\n"
NO_BOB = "Error: There is no user named 'bob'.\n"


@pytest.fixture
def run(runner):
    """Runs flask users with arguments; typed is what comes by standard input."""
    return lambda *arguments, typed=None: runner.invoke(args=["users", *arguments], input=typed)


def said(result: Result) -> tuple[int, str, str]:
    """The exit code, and what was written to stdout and stderr after the name of the database; nothing was thrown."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, re.sub(r"^Database: \S+\n", "", result.stderr)


def the_user(app: Flask, username: str) -> User:
    (user,) = stored(app, User, User.username == username)
    return user


def living(app: Flask) -> list[UUID]:
    """The users of the sign-ins that have not ended."""
    return [row.user_id for row in stored(app, SignIn, SignIn.ended_at.is_(None))]


class TestCreateAdmin:
    def test_asks_for_what_it_was_not_told_and_shows_no_password(self, app, run):
        result = run("create-admin", typed=f"root\nroot@example.com\n{GOOD}\n{GOOD}\n")

        code, stdout, _ = said(result)
        user = the_user(app, "root")
        assert (code, stdout.splitlines()[-1]) == (0, "root is an admin now.")
        assert (user.email, user.role, user.active) == ("root@example.com", Role.ADMIN, True)
        assert passwords.matches(user.password_hash, GOOD)
        assert GOOD not in result.output

    def test_asks_again_for_a_password_that_was_not_repeated(self, app, run):
        name = ("--username", "root", "--email", "root@example.com")
        result = run("create-admin", *name, typed=f"{GOOD}\nincorrect horse\n{GOOD}\n{GOOD}\n")

        assert said(result)[0] == 0
        assert "do not match" in result.output
        assert passwords.matches(the_user(app, "root").password_hash, GOOD)

    @pytest.mark.parametrize("typed", [GOOD, f"{GOOD}\n", f"{GOOD}\r\n", f"{GOOD}\nanother line\n"])
    def test_takes_the_password_from_the_first_line_of_standard_input(self, app, run, typed):
        result = run(
            "create-admin", "--username", "root", "--email", "root@example.com", "--password-stdin", typed=typed
        )

        assert said(result) == (0, "root is an admin now.\n", "")
        assert passwords.matches(the_user(app, "root").password_hash, GOOD)

    def test_spaces_around_a_password_belong_to_it(self, app, run):
        run(
            *("create-admin", "--username", "root", "--email", "root@example.com", "--password-stdin"),
            typed=f"  {GOOD} \n",
        )

        assert passwords.matches(the_user(app, "root").password_hash, f"  {GOOD} ")

    @pytest.mark.parametrize(
        ("username", "email", "password", "reason"),
        [
            (
                "x",
                "root@example.com",
                GOOD,
                "username: Must have 3 to 80 letters, digits, dots, hyphens or underscores.",
            ),
            ("root", "nowhere", GOOD, "email: Not an address."),
            ("root", "root@example.com", "short", "password: Must have 8 to 128 characters."),
            ("root", "root@example.com", "", "password: Must have 8 to 128 characters."),
            ("root", "root@example.com", "password", "password: Is too common."),
            ("quillfeather", "root@example.com", "Quillfeather", "password: Must not be the name or the address."),
        ],
    )
    def test_what_will_not_do_is_said_in_a_line(self, app, run, username, email, password, reason):
        result = run(
            "create-admin", "--username", username, "--email", email, "--password-stdin", typed=f"{password}\n"
        )

        assert said(result) == (1, "", f"Error: {reason}\n")
        assert stored(app, User) == []

    def test_all_that_will_not_do_is_said_at_once(self, run):
        result = run("create-admin", "--username", "x", "--email", "y", "--password-stdin", typed="z\n")

        assert [line.partition(":")[0] for line in said(result)[2].removeprefix("Error: ").splitlines()] == [
            "username",
            "email",
            "password",
        ]

    @pytest.mark.parametrize(("username", "email"), [("ROOT", "b@example.com"), ("boot", "ROOT@example.com")])
    def test_what_is_taken_is_said_in_a_line(self, app, run, username, email):
        make_user(app, username="root", email="root@example.com")
        result = run("create-admin", "--username", username, "--email", email, "--password-stdin", typed=GOOD)

        assert said(result) == (1, "", "Error: This name or address is taken.\n")
        assert len(stored(app, User)) == 1

    @pytest.mark.parametrize("typed", [b"\xff\xfe\xfd correct horse\n", b"caf\xe9 au lait\n"])
    def test_a_password_that_is_no_text_is_said_in_a_line(self, app, run, typed):
        result = run(
            "create-admin", "--username", "root", "--email", "root@example.com", "--password-stdin", typed=typed
        )

        code, stdout, stderr = said(result)
        assert (code, stdout, stderr.count("\n")) == (1, "", 1)
        assert stored(app, User) == []

    def test_who_says_nothing_is_not_made_an_admin(self, app, run):
        assert said(run("create-admin", typed=""))[0] == 1
        assert stored(app, User) == []

    def test_has_no_option_for_a_password_which_a_list_of_processes_would_show(self, app, run):
        result = run("create-admin", "--username", "root", "--email", "root@example.com", "--password", GOOD)

        assert said(result)[0] == 2
        assert stored(app, User) == []


class TestList:
    def test_shows_who_there_is_by_name(self, app, run):
        make_user(app, Role.ADMIN, username="root", email="root@example.com")
        make_user(app, username="Žofie", email="z@example.com", active=False)
        make_user(app, username="Alice", email="a@example.com")

        assert said(run("list")) == (
            0,
            "Alice\ta@example.com\tcustomer\tactive\n"
            "root\troot@example.com\tadmin\tactive\n"
            "Žofie\tz@example.com\tcustomer\tdeactivated\n",
            "",
        )

    def test_shows_those_of_a_role_if_asked_for(self, app, run):
        make_user(app, Role.ADMIN, username="root", email="root@example.com")
        make_user(app, username="alice", email="alice@example.com")

        assert said(run("list", "--role", "admin"))[1] == "root\troot@example.com\tadmin\tactive\n"
        assert said(run("list", "--role", "customer"))[1] == "alice\talice@example.com\tcustomer\tactive\n"

    def test_shows_nothing_where_there_is_nobody(self, run):
        assert said(run("list")) == (0, "", "")

    def test_shows_nothing_that_lets_one_sign_in(self, app, run):
        make_user(app)

        assert "argon2" not in run("list").output

    def test_a_role_that_there_is_not_is_a_usage_error(self, run):
        code, _, stderr = said(run("list", "--role", "king"))

        assert code == 2
        assert "'admin', 'customer'" in stderr


class TestSetRole:
    def test_gives_another_role_and_signs_out(self, app, run):
        user = make_user(app, username="Alice")
        sign_in(app, user)

        assert said(run("set-role", "alice", "admin")) == (0, "alice's role is now admin.\n", "")
        assert the_user(app, "Alice").role is Role.ADMIN
        assert living(app) == []

    def test_the_last_admin_stays_one(self, app, run):
        admin = make_user(app, Role.ADMIN, username="root")
        sign_in(app, admin)

        assert said(run("set-role", "root", "customer")) == (1, "", LAST_ADMIN)
        assert the_user(app, "root").role is Role.ADMIN
        assert living(app) == [admin]

    def test_the_last_but_one_need_not(self, app, run):
        make_user(app, Role.ADMIN, username="root")
        make_user(app, Role.ADMIN)

        assert said(run("set-role", "root", "customer"))[0] == 0

    def test_nobody_gets_none(self, run):
        assert said(run("set-role", "bob", "admin")) == (1, "", NO_BOB)

    @pytest.mark.parametrize("arguments", [["alice", "king"], ["alice", ""], ["alice"], []])
    def test_what_makes_no_sense_is_a_usage_error(self, app, run, arguments):
        make_user(app, username="alice")

        assert said(run("set-role", *arguments))[0] == 2


class TestSetPassword:
    def test_asks_for_it_twice_and_signs_out_everywhere(self, app, run):
        user, other = make_user(app, username="Alice"), make_user(app)
        for user_id in (user, user, other):
            sign_in(app, user_id)

        result = run("set-password", "alice", typed=f"{GOOD}\n{GOOD}\n")

        code, stdout, _ = said(result)
        assert (code, stdout.splitlines()[-1]) == (0, "alice has a new password.")
        assert passwords.matches(the_user(app, "Alice").password_hash, GOOD)
        assert living(app) == [other]
        assert GOOD not in result.output

    def test_who_has_guessed_too_often_may_try_the_new_one_at_once(self, app, run, visitor):
        make_user(app, username="alice", password_hash=passwords.hashed("battery staple"))

        def login() -> int:
            credentials = {"username": "alice", "password": GOOD}
            return visitor.post("/api/v1/auth/login", json=credentials).status_code

        assert [login() for _ in range(11)] == [401] * 10 + [429]
        run("set-password", "alice", "--password-stdin", typed=f"{GOOD}\n")

        assert login() == 200

    def test_takes_it_from_standard_input(self, app, run):
        make_user(app, username="alice")

        result = run("set-password", "alice", "--password-stdin", typed=f"{GOOD}\n")

        assert said(result) == (0, "alice has a new password.\n", "")
        assert passwords.matches(the_user(app, "alice").password_hash, GOOD)

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            ("short", "Must have 8 to 128 characters."),
            ("12345678", "Is too common."),
            ("quillfeather", "Must not be the name or the address."),
        ],
    )
    def test_one_that_will_not_do_changes_nothing(self, app, run, password, reason):
        user = make_user(app, username="quillfeather")
        sign_in(app, user)

        result = run("set-password", "quillfeather", "--password-stdin", typed=f"{password}\n")

        assert said(result) == (1, "", f"Error: password: {reason}\n")
        assert the_user(app, "quillfeather").password_hash == passwords.NOBODYS
        assert living(app) == [user]

    def test_nobody_gets_none(self, run):
        assert said(run("set-password", "bob", "--password-stdin", typed=f"{GOOD}\n")) == (1, "", NO_BOB)


class TestDeactivate:
    def test_keeps_a_user_out_and_signs_them_out(self, app, run):
        user = make_user(app, username="Alice")
        sign_in(app, user)

        assert said(run("deactivate", "alice")) == (0, "alice may not sign in any more.\n", "")
        assert the_user(app, "Alice").active is False
        assert living(app) == []

    def test_the_last_admin_stays(self, app, run):
        make_user(app, Role.ADMIN, username="root")
        make_user(app, Role.ADMIN, active=False)

        assert said(run("deactivate", "root")) == (1, "", LAST_ADMIN)
        assert the_user(app, "root").active is True

    def test_who_is_out_already_stays_out(self, app, run):
        make_user(app, username="alice", active=False)

        assert said(run("deactivate", "alice"))[0] == 0
        assert the_user(app, "alice").active is False

    def test_nobody_cannot_be(self, run):
        assert said(run("deactivate", "bob")) == (1, "", NO_BOB)


class TestActivate:
    def test_lets_a_user_in_again(self, app, run):
        make_user(app, username="Alice", active=False)

        assert said(run("activate", "alice")) == (0, "alice may sign in again.\n", "")
        assert the_user(app, "Alice").active is True

    def test_who_may_sign_in_already_is_left_alone(self, app, run):
        user = make_user(app, username="alice")
        sign_in(app, user)

        assert said(run("activate", "alice"))[0] == 0
        assert living(app) == [user]

    def test_nobody_cannot_be(self, run):
        assert said(run("activate", "bob")) == (1, "", NO_BOB)


@pytest.mark.parametrize("command", ["activate", "set-password"])
def test_a_name_that_is_no_text_is_said_in_a_line(run, command):
    code, _, stderr = said(run(command, "bob\udcff", typed=f"{GOOD}\n{GOOD}\n"))

    assert (code, stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("arguments", [["set-role", "nobody", "admin"], ["activate", "nobody"]], ids=" ".join)
def test_what_writes_names_its_database_without_the_password(make_app, database_url, arguments):
    given = database_url if database_url.get_backend_name() == "sqlite" else database_url.set(password="hunter2")
    result = make_app(database_url=given).test_cli_runner().invoke(args=["users", *arguments])

    first = result.stderr.splitlines()[0]
    assert first.startswith(f"Database: {database_url.get_backend_name()}://")
    assert database_url.database in first
    assert "hunter2" not in result.output


def test_what_only_reads_says_nothing_of_it(runner):
    assert runner.invoke(args=["users", "list"]).stderr == ""
