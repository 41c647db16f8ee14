"""/api/v1/auth and /api/v1/users: signing up and in, and who may do what."""

from typing import Any
from uuid import UUID

from flask import Response, request
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.responses import PAGE_HEADERS, TAG_HEADERS, UNCHANGED, json_response, page_response, tagged
from aggregator.auth import earlier_sign_in, principal, refresh_claims, refuse, tokens_for
from aggregator.database import database_now, in_transaction
from aggregator.extensions import authenticator, mail_tokens
from aggregator.flows.accounts import Device, MyChange, Passwords, change_user
from aggregator.flows.limits import network
from aggregator.schemas.accounts import (
    ConfirmEmailSchema,
    LoginSchema,
    MePatchSchema,
    RegisterSchema,
    TokensSchema,
    UserPatchSchema,
    UserSchema,
    UsersQuerySchema,
)
from aggregator.services import account_reads, confirmations, sign_ins

blueprint = Blueprint("accounts", __name__, url_prefix="/api/v1", description="Who may do what.")

CHANGE_PROBLEMS = (
    *(errors.AccountTaken, errors.PasswordChanged, errors.WrongPassword),
    *(errors.TooMany, errors.Unavailable),
)
CREDENTIALS = {"username": "$request.body#/username", "password": "$request.body#/password"}


@blueprint.route("/auth/register")
class Register(MethodView):
    @blueprint.arguments(RegisterSchema)
    @blueprint.response(201, UserSchema)
    @blueprint.links(201, {"login": {"requestBody": CREDENTIALS}})
    @blueprint.problems(errors.AccountTaken, errors.TooMany, errors.Unavailable)
    def post(self, fields: dict[str, str]) -> Response:
        """Open an account, as a customer"""
        user_id = authenticator().register(fields, network(request.remote_addr))
        return json_response(account_reads.find(user_id), 201)


@blueprint.route("/auth/login")
class Login(MethodView):
    @blueprint.arguments(LoginSchema)
    @blueprint.response(200, TokensSchema)
    @blueprint.problems(errors.WrongCredentials, errors.TooMany, errors.Unavailable)
    def post(self, fields: dict[str, str]) -> dict[str, Any]:
        """Sign in, by name or e-mail address

        Wrong passwords are counted for each account and network. Send the last refresh token of this device along, as
        Bearer, if there is one, expired or not: then no attempt from elsewhere counts against this one.
        """
        before, here = earlier_sign_in(), network(request.remote_addr)
        device = Device(before.user_id, before.sign_in_id) if before else None
        return tokens_for(authenticator().login(fields["username"], fields["password"], here, device))


@blueprint.route("/auth/refresh")
class Refresh(MethodView):
    @blueprint.response(200, TokensSchema)
    def post(self) -> dict[str, Any]:
        """Exchange the refresh token, sent as Bearer, for new tokens

        A refresh token is good for one use. If one is used again, later than ten seconds after the first time,
        it has been stolen by somebody: the sign-in ends, and all its tokens with it.
        """
        claims = refresh_claims()
        here = network(request.remote_addr)
        sign_in = authenticator().refresh(claims.sign_in_id, claims.user_id, claims.generation, here)
        return tokens_for(sign_in) if sign_in else refuse()


@blueprint.route("/auth/logout")
class Logout(MethodView):
    @blueprint.response(204)
    def post(self) -> None:
        """Sign out: all tokens of this sign-in end at once"""
        in_transaction(lambda: sign_ins.end(principal().sign_in_id, database_now()))


@blueprint.route("/auth/confirm-email")
class ConfirmEmail(MethodView):
    @blueprint.arguments(ConfirmEmailSchema)
    @blueprint.response(204)
    @blueprint.problems(errors.BadMailToken)
    def post(self, fields: dict[str, str]) -> None:
        """Confirm an address with the token that was sent there

        The token is good for one use, for two days, and for that address only.
        """
        user_id, confirmation_id = mail_tokens().read_confirmation(fields["token"])
        in_transaction(lambda: confirmations.confirm(user_id, confirmation_id, database_now()))


@blueprint.route("/auth/confirm-email/resend")
class ConfirmEmailResend(MethodView):
    @blueprint.response(204)
    @blueprint.problems(errors.AlreadyConfirmed, errors.TooMany)
    def post(self) -> None:
        """Have the mail sent again that asks you to confirm your address"""
        authenticator().ask_again(principal(), network(request.remote_addr))


@blueprint.route("/auth/me")
class Me(MethodView):
    @blueprint.response(200, UserSchema)
    def get(self) -> Response:
        """Show your own account"""
        return json_response(account_reads.find(principal().user_id))

    @blueprint.arguments(MePatchSchema)
    @blueprint.response(200, UserSchema)
    @blueprint.problems(*CHANGE_PROBLEMS)
    def patch(self, fields: dict[str, Any]) -> Response:
        """Change your address, your password, or which mails you get

        Another password ends all other sign-ins. An address can be changed ten times an hour, and that counts as a
        registration, too, of the network that it comes from. It has to be confirmed again before it gets other mails.
        """
        password = Passwords(fields["current_password"], fields["password"]) if "password" in fields else None
        mails: dict[str, bool] = {name: fields[name] for name in ("mail_alerts", "mail_daily") if name in fields}
        change = MyChange(fields.get("email"), password, mails)
        authenticator().change(principal(), network(request.remote_addr), change)
        return json_response(account_reads.find(principal().user_id))


@blueprint.route("/users")
class Users(MethodView):
    @blueprint.arguments(UsersQuerySchema, location="query")
    @blueprint.response(200, UserSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List the users"""
        return page_response(account_reads.page, query)


@blueprint.route("/users/<uuid:user_id>")
class User(MethodView):
    @blueprint.response(200, UserSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, user_id: UUID) -> Response:
        """Show a user"""
        return tagged(account_reads.find(user_id))

    @blueprint.arguments(UserPatchSchema)
    @blueprint.response(200, UserSchema)
    @blueprint.problems(errors.NotFound, errors.LastAdmin)
    def patch(self, fields: dict[str, Any], user_id: UUID) -> Response:
        """Change a user's role, or whether they may sign in

        It ends all their sign-ins.
        """
        change_user(user_id, fields)
        return json_response(account_reads.find(user_id))
