"""flask users: who may do what, from the shell. It is how the first admin comes to be."""

import sys
from collections.abc import Callable
from typing import TypeVar

import click
from flask.cli import AppGroup

from aggregator.cli.databases import writes
from aggregator.errors import ProblemError
from aggregator.extensions import authenticator
from aggregator.flows import accounts
from aggregator.models import Role
from aggregator.services.accounts import everybody

T = TypeVar("T")
group = AppGroup("users", help="Who may do what.")
role_choice = click.Choice([role.value for role in Role])
password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@group.command("create-admin")
@click.option("--username", prompt=True)
@click.option("--email", prompt=True)
@password_stdin
@writes
def create_admin(username: str, email: str, password_stdin: bool) -> None:
    """Create an admin."""
    password = _password(password_stdin)
    _try(lambda: accounts.add_user(username, email, password, Role.ADMIN))
    click.echo(f"{username} is an admin now.")


@group.command("list")
@click.option("--role", type=role_choice, help="Only these.")
def list_users(role: str | None) -> None:
    """List the users: name, address, role, whether they may sign in, and whether the address is still unconfirmed."""
    for user in _try(lambda: everybody(Role(role) if role else None)):
        states = ["active" if user.active else "deactivated", *([] if user.email_confirmed else ["unconfirmed"])]
        click.echo("\t".join([user.username, user.email, user.role.value, *states]))


@group.command("set-role")
@click.argument("username")
@click.argument("role", type=role_choice)
@writes
def set_role(username: str, role: str) -> None:
    """Give a user another role."""
    _try(lambda: accounts.change_named(username, role=Role(role)))
    click.echo(f"{username}'s role is now {role}.")


@group.command("set-password")
@click.argument("username")
@password_stdin
@writes
def set_password(username: str, password_stdin: bool) -> None:
    """Give a user another password, sign them out everywhere, and let them try to sign in anew."""
    password = _password(password_stdin)
    _try(lambda: authenticator().set_password(username, password))
    click.echo(f"{username} has a new password.")


@group.command("deactivate")
@click.argument("username")
@writes
def deactivate(username: str) -> None:
    """Keep a user from signing in, and sign them out everywhere."""
    _try(lambda: accounts.change_named(username, active=False))
    click.echo(f"{username} may not sign in any more.")


@group.command("confirm")
@click.argument("username")
def confirm(username: str) -> None:
    """Take a user's address for confirmed."""
    _try(lambda: accounts.change_named(username, email_confirmed=True))
    click.echo(f"{username} gets mails now.")


@group.command("activate")
@click.argument("username")
@writes
def activate(username: str) -> None:
    """Let a user sign in again."""
    _try(lambda: accounts.change_named(username, active=True))
    click.echo(f"{username} may sign in again.")


def _password(from_stdin: bool) -> str:
    """The password, from where no list of processes and no history of a shell shows it."""
    if from_stdin:
        try:
            return sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.ClickException("The password is not UTF-8.") from None
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _try(work: Callable[[], T]) -> T:
    """What work returns; where something is wrong, a line that says what."""
    try:
        return work()
    except UnicodeEncodeError:
        raise click.ClickException("That is not UTF-8.") from None
    except ProblemError as error:
        fields = error.extra.get("errors", {}).get("json", {})
        reasons = [f"{field}: {' '.join(texts)}" for field, texts in fields.items()]
        raise click.ClickException("\n".join(reasons) or error.detail) from None
