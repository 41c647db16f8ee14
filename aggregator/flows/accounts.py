"""Signing up and in. Passwords are hashed between transactions, because that takes its time."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from aggregator.database import database_now, in_transaction
from aggregator.errors import Invalid, Unauthorized
from aggregator.flows.limits import Limit, Limits
from aggregator.models import Role, SignIn, User
from aggregator.services import accounts, passwords, sign_ins

WRONG = "The name or the password is wrong."


@dataclass(frozen=True)
class AccountLimits:
    """How often a network or a name may be tried."""

    logins_per_address: Limit
    logins_per_account: Limit
    registrations_per_address: Limit

    @classmethod
    def of(cls, per_address: int, per_account: int, registrations: int) -> "AccountLimits":
        """So many logins a minute, so many of an account in five, and so many registrations an hour."""
        return cls(
            Limit("login", per_address, 60.0),
            Limit("account", per_account, 300.0),
            Limit("register", registrations, 3600.0),
        )


@dataclass(frozen=True)
class Door:
    """Where people come in: how often they may knock, and for how long they may stay."""

    limits: Limits
    allowed: AccountLimits
    stay: timedelta

    def register(self, fields: dict[str, str], address: str) -> UUID:
        """A new customer. Invalid or Conflict where the fields will not do."""
        self.limits.hit(self.allowed.registrations_per_address, address)
        return add_user(**fields, role=Role.CUSTOMER)

    def login(self, name: str, password: str, address: str) -> SignIn:
        """Sign in by name or address. Unauthorized does not say which of the two was wrong."""
        self.limits.hit(self.allowed.logins_per_address, address)
        known = accounts.credentials(name)
        account = str(known.user_id) if known else accounts.folded(name)
        self.limits.hit(self.allowed.logins_per_account, account)
        good = passwords.matches(known.password_hash if known and known.active else None, password)
        if not known or not good:
            raise Unauthorized(WRONG)
        self.limits.forget(self.allowed.logins_per_account, account)
        better = passwords.hashed(password) if passwords.is_outdated(known.password_hash) else None
        return in_transaction(lambda: self._begin(known, better))

    def refresh(self, sign_in_id: UUID, user_id: UUID, generation: int) -> SignIn | None:
        """The next generation of a sign-in; None where it has come to its end."""
        return in_transaction(lambda: sign_ins.refresh(sign_in_id, user_id, generation, database_now(), self.stay))

    def change_password(self, user_id: UUID, sign_in_id: UUID, old: str, new: str) -> None:
        """Change a password, and end all other sign-ins of its user. Invalid where one of the two will not do."""
        self.limits.hit(self.allowed.logins_per_account, str(user_id))
        user = in_transaction(lambda: accounts.get(user_id))
        if not passwords.matches(user.password_hash, old):
            raise Invalid("The password is not changed.", {"json": {"current_password": ["Is not the present one."]}})
        accounts.checked_password(user, new)
        password_hash = passwords.hashed(new)
        in_transaction(
            lambda: accounts.set_password(accounts.get(user_id), password_hash, database_now(), but=sign_in_id)
        )

    def _begin(self, known: accounts.Credentials, better: str | None) -> SignIn:
        """Sign in, unless the account has been changed since its password was checked."""
        user = accounts.get(known.user_id)
        if not user.active or user.password_hash != known.password_hash:
            raise Unauthorized(WRONG)
        if better:
            user.password_hash = better
        return sign_ins.begin(user, database_now(), self.stay)


def add_user(username: str, email: str, password: str, role: Role) -> UUID:
    """A new user. Invalid names all that will not do; Conflict where the name or the address is taken."""
    username, email = accounts.checked(username, email, password)
    password_hash = passwords.hashed(password)
    return in_transaction(lambda: accounts.add(username, email, password_hash, role, database_now()))


def set_password(username: str, password: str) -> None:
    """Give a user another password, without being asked for the old one, and end all their sign-ins."""
    user = in_transaction(lambda: accounts.named(username))
    accounts.checked_password(user, password)
    password_hash = passwords.hashed(password)
    in_transaction(lambda: accounts.set_password(_same(user), password_hash, database_now()))


def change_user(username: str, **fields: Any) -> None:
    """Change a user's role, or whether they may sign in. Conflict if no admin were left."""
    in_transaction(lambda: accounts.change(accounts.named(username).id, fields, database_now()))


def _same(user: User) -> User:
    return accounts.get(user.id)
