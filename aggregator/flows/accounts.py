"""Signing up and in. Passwords are hashed between transactions, because that takes its time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from aggregator.database import database_now, in_transaction
from aggregator.errors import AlreadyConfirmed, PasswordChanged, TooMany, WrongCredentials, WrongPassword
from aggregator.flows.limits import Limit, Limits
from aggregator.models import Role, SignIn
from aggregator.services import accounts, confirmations, passwords, sign_ins
from aggregator.services.sign_ins import Principal

# From all unknown networks together, an account may be tried so many times as often as from one; then slowly.
ANYWHERE = 10
SLOW_SECONDS = 5.0
NOBODY = UUID(int=0)
EMAILS_PER_ACCOUNT = 10  # an hour: who moves needs one, and who asks which addresses are taken needs many
# Mails that ask for a confirmation: of an account in an hour, of a network in an hour, and to an address in a day.
CONFIRMATIONS = {"account": 5, "network": 20, "address": 5}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class AccountLimits:
    """How often a network or a name may be tried."""

    logins_per_address: Limit
    logins_per_account: Limit  # from one network, or one device
    logins_anywhere: Limit  # at an account, from networks that it has never signed in from
    logins_slowed: Limit  # beyond that
    registrations_per_address: Limit
    emails_per_account: Limit
    confirmations_per_account: Limit
    confirmations_per_network: Limit
    confirmations_per_address: Limit

    @classmethod
    def of(cls, *, per_address: int, per_account: int, registrations: int) -> "AccountLimits":
        """So many logins a minute, so many of an account in five from one network, so many registrations an hour."""
        return cls(
            logins_per_address=Limit("login", per_address, 60.0),
            logins_per_account=Limit("account", per_account, 300.0),
            logins_anywhere=Limit("anywhere", ANYWHERE * per_account, 300.0),
            logins_slowed=Limit("slowed", 1, SLOW_SECONDS),
            registrations_per_address=Limit("register", registrations, 3600.0),
            emails_per_account=Limit("email", EMAILS_PER_ACCOUNT, 3600.0),
            confirmations_per_account=Limit("confirm account", CONFIRMATIONS["account"], 3600.0),
            confirmations_per_network=Limit("confirm network", CONFIRMATIONS["network"], 3600.0),
            confirmations_per_address=Limit("confirm address", CONFIRMATIONS["address"], 86_400.0),
        )


@dataclass(frozen=True)
class Device:
    """A device on which somebody has signed in before."""

    user_id: UUID
    sign_in_id: UUID


@dataclass(frozen=True)
class Passwords:
    """The password that somebody has, and the one that they want."""

    old: str
    new: str


@dataclass(frozen=True)
class MyChange:
    """What somebody wants to have changed about themselves."""

    email: str | None = None
    password: Passwords | None = None
    mails: Mapping[str, bool] = field(default_factory=dict)  # which they want


@dataclass(frozen=True)
class HashChange:
    """The hash that a password was checked with, and the one that is to take its place."""

    old: str
    new: str


@dataclass(frozen=True)
class Authenticator:
    """Signs people up and in: how often that may be tried, and for how long a sign-in lasts."""

    limits: Limits
    allowed: AccountLimits
    life: timedelta

    def register(self, fields: dict[str, str], address: str) -> UUID:
        """A new customer, who is sent a mail to confirm the address. Invalid or Conflict where a field cannot be."""
        self.limits.hit(self.allowed.registrations_per_address, address)
        name, email, password_hash = _checked_user(fields["username"], fields["email"], fields["password"])
        may_ask = self._may_ask(email)

        def register() -> UUID:
            now = database_now()
            user_id = accounts.add(name, email, password_hash, Role.CUSTOMER, now, confirmed=False)
            if may_ask:
                confirmations.ask(accounts.get(user_id), now)
            return user_id

        return in_transaction(register)

    def ask_again(self, me: Principal, address: str) -> None:
        """Send somebody the mail once more that asks for a confirmation. TooMany where that is too often."""
        email = in_transaction(lambda: _unconfirmed(me.user_id))
        self.limits.hit(self.allowed.confirmations_per_account, _user(me.user_id))
        self.limits.hit(self.allowed.confirmations_per_network, address)
        self.limits.hit(self.allowed.confirmations_per_address, _mailbox(email))
        in_transaction(lambda: confirmations.ask_again(me.user_id, database_now()))

    def login(self, name: str, password: str, address: str, device: Device | None = None) -> SignIn:
        """Sign in by name or address. WrongCredentials does not say which of the two was wrong."""
        if device is None:
            self.limits.hit(self.allowed.logins_per_address, address)
        known = accounts.credentials(name)
        tried = self._allow(known, name, address, device)
        match = passwords.matches(known.password_hash if known and known.active else None, password)
        if not known or not match:
            raise _refused("wrong password" if known and known.active else "deactivated" if known else "unknown name")
        self.limits.forget(self.allowed.logins_per_account, tried)
        better = passwords.hashed(password) if match.outdated else None
        return in_transaction(lambda: self._begin(known, better, address))

    def refresh(self, sign_in_id: UUID, user_id: UUID, generation: int, address: str | None = None) -> SignIn | None:
        """The next generation of a sign-in; None where it has come to its end."""
        return in_transaction(
            lambda: sign_ins.refresh(sign_in_id, user_id, generation, database_now(), self.life, address)
        )

    def change(self, me: Principal, address: str, wanted: MyChange) -> None:
        """Change somebody's own e-mail address, password, or mails; another password ends all other sign-ins.

        Invalid or Conflict where one of them will not do, and then none is changed.
        """
        email = None if wanted.email is None else self._checked_email(me, address, wanted.email)
        change = self._checked(me, wanted.password, email) if wanted.password else None
        may_ask = email is not None and self._may_ask(email)
        in_transaction(lambda: _change(me, email, change, wanted.mails, may_ask))
        if change:
            log.info("password changed", user_id=str(me.user_id))

    def set_password(self, username: str, password: str) -> None:
        """Give a user another password, without being asked for the old one, and end all their sign-ins."""
        user = in_transaction(lambda: accounts.named(username))
        accounts.checked_password(password, user.username, user.email)
        password_hash = passwords.hashed(password)
        in_transaction(lambda: accounts.set_password(accounts.get(user.id), password_hash, database_now()))
        log.info("password set", user_id=str(user.id))

    def _may_ask(self, email: str) -> bool:
        """Whether an address may be sent one more mail that asks for a confirmation; who is not sent one asks later."""
        try:
            self.limits.hit(self.allowed.confirmations_per_address, _mailbox(email))
        except TooMany:
            return False
        return True

    def _checked_email(self, me: Principal, address: str, email: str) -> str:
        """The address as it is to be stored. That one is taken is told as at a registration, and as seldom."""
        email = accounts.checked_email(email)
        self.limits.hit(self.allowed.emails_per_account, _user(me.user_id))
        self.limits.hit(self.allowed.registrations_per_address, address)
        return email

    def _checked(self, me: Principal, given: Passwords, email: str | None) -> HashChange:
        tried = f"signed in:{me.sign_in_id}"  # whoever tries to sign in elsewhere does not count against it
        self.limits.hit(self.allowed.logins_per_account, tried)
        user = in_transaction(lambda: accounts.get(me.user_id))
        if not passwords.matches(user.password_hash, given.old):
            raise WrongPassword(errors={"json": {"current_password": ["Is not the present one."]}})
        self.limits.forget(self.allowed.logins_per_account, tried)
        accounts.checked_password(given.new, user.username, email or user.email)
        return HashChange(user.password_hash, passwords.hashed(given.new))

    def _allow(self, known: accounts.Credentials | None, name: str, address: str, device: Device | None) -> str:
        """Count a try to sign in, and return under what. TooMany where that is one too many.

        Tries of others never count against a device or a network from which the account has been signed in. A name that
        nobody has is counted like one that somebody has.
        """
        # A new password begins with new counts.
        account = f"user:{known.user_id}:{known.password_hash}" if known else f"name:{accounts.login_key(name)}"
        if known and device and device.user_id == known.user_id:
            tried = f"{account} device:{device.sign_in_id}"
            self.limits.hit(self.allowed.logins_per_account, tried)
            return tried
        if device is not None:  # somebody else's
            self.limits.hit(self.allowed.logins_per_address, address)
        tried = f"{account} {address}"
        self.limits.hit(self.allowed.logins_per_account, tried)
        if not sign_ins.is_known(known.user_id if known else NOBODY, address):
            self._slow_down(account)
        return tried

    def _slow_down(self, account: str) -> None:
        """Count a try from an unknown network; when there are too many, one in some seconds is let through."""
        try:
            self.limits.hit(self.allowed.logins_anywhere, account)
        except TooMany:
            self.limits.hit(self.allowed.logins_slowed, account)

    def _begin(self, known: accounts.Credentials, better: str | None, address: str) -> SignIn:
        """Sign in, unless the account has been changed since its password was checked."""
        user = accounts.get(known.user_id)
        if not user.active or user.password_hash != known.password_hash:
            raise _refused("changed meanwhile")
        if better:
            user.password_hash = better
        return sign_ins.begin(user, database_now(), self.life, address)


def _user(user_id: UUID) -> str:
    """A user as limits know one; what somebody types as a name is known by another word."""
    return f"user:{user_id}"


def _refused(reason: str) -> WrongCredentials:
    """What a login is answered with that fails. The reason is for the log alone, and the name not even for that."""
    log.info("login failed", reason=reason)
    return WrongCredentials()


def _mailbox(email: str) -> str:
    """An address as limits know it: what comes after a plus is most often the same mailbox."""
    local, _, domain = email.casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _unconfirmed(user_id: UUID) -> str:
    user = accounts.get(user_id)
    if user.email_confirmed:
        raise AlreadyConfirmed
    return user.email


def _change(
    me: Principal, email: str | None, password: HashChange | None, mails: Mapping[str, bool], may_ask: bool
) -> None:
    user, now = accounts.get(me.user_id), database_now()
    if password and user.password_hash != password.old:
        raise PasswordChanged
    if email is not None and accounts.change_email(user, email, now) and may_ask:
        confirmations.ask(user, now)
    accounts.set_preferences(user, mails, now)
    if password:
        accounts.set_password(user, password.new, now, but=me.sign_in_id)


def add_user(username: str, email: str, password: str, role: Role) -> UUID:
    """A new user, whose address counts as confirmed.

    Invalid names all that will not do; Conflict where the name or the address is taken.
    """
    username, email, password_hash = _checked_user(username, email, password)
    return in_transaction(lambda: accounts.add(username, email, password_hash, role, database_now()))


def _checked_user(username: str, email: str, password: str) -> tuple[str, str, str]:
    """The name, the address and the hash of the password, as they are to be stored."""
    username, email = accounts.checked(username, email, password)
    return username, email, passwords.hashed(password)


def change_user(user_id: UUID, fields: dict[str, Any]) -> None:
    """Change a user's role, or whether they may sign in. Conflict if no admin were left."""
    if in_transaction(lambda: accounts.change(user_id, fields, database_now())):
        log.info("user changed", user_id=str(user_id), **{name: fields[name] for name in sorted(fields)})


def change_named(username: str, **fields: Any) -> None:
    """Change the user of a name, as change_user() does."""
    user = in_transaction(lambda: accounts.named(username))
    change_user(user.id, fields)  # which locks all admins first
