"""The JSON of accounts. A password goes in, and never comes out."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from aggregator.models import Role
from aggregator.models.accounts import (
    EMAIL_LENGTH,
    MAX_PASSWORD_LENGTH,
    MIN_PASSWORD_LENGTH,
    USERNAME_LENGTH,
)
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Boolean, QueryBoolean, Text, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText
from aggregator.text import opaque

TYPED = 4  # characters at most that a keyboard sends for one


class PasswordText(Text):
    """A password as it was typed. Whether a new one will do is for the service to say; here it is documented."""

    def __init__(self, required: bool = True, **documented: Any) -> None:
        described = {"format": "password", "maxLength": MAX_PASSWORD_LENGTH, "examples": ["a lamp at the window"]}
        super().__init__(
            max_length=TYPED * MAX_PASSWORD_LENGTH, required=required, load_only=True, metadata=described | documented
        )

    def spelled(self, text: str) -> str:
        """The text as it is; what is hashed may be shorter, because letters and their accents become one character."""
        if min(len(text), len(opaque(text))) > MAX_PASSWORD_LENGTH:
            raise ValidationError(f"Longer than maximum length {MAX_PASSWORD_LENGTH}.")
        return text


class EmailText(Text):
    """An e-mail address. Whether it is one is for the service to say; here it is documented."""

    def __init__(self, example: str, **kwargs: Any) -> None:
        description = "Of a domain on the internet, or under .test; localhost, .local and the like are invalid."
        metadata = {"format": "email", "description": description, "examples": [example]}
        super().__init__(max_length=EMAIL_LENGTH, metadata=metadata, **kwargs)


NEW_PASSWORD: dict[str, Any] = {
    "minLength": MIN_PASSWORD_LENGTH,
    "description": f"{MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters, of any kind, not easily guessed.",
}


MAIL_ALERTS = {"description": "Whether alerts may come by mail."}
MAIL_DAILY = {"description": "Whether the daily mail is wanted."}
MAX_LENGTH = 500


class RegisterSchema(Schema):
    """A new account."""

    username = Text(
        max_length=USERNAME_LENGTH,
        required=True,
        metadata={
            "description": "3 to 80 letters, digits, dots, hyphens or underscores.",
            "examples": ["ada.lovelace"],
        },
    )
    email = EmailText("ada@example.com", required=True)
    password = PasswordText(**NEW_PASSWORD)


class LoginSchema(Schema):
    """Who you are, and how you can tell."""

    username = Text(
        max_length=EMAIL_LENGTH,
        required=True,
        metadata={"description": "Your name, or your e-mail address.", "examples": ["ada.lovelace"]},
    )
    password = PasswordText()


class TokensSchema(AnswerSchema):
    """Tokens to call with: the access token for everything, the refresh token for new ones."""

    access_token = fields.String()
    refresh_token = fields.String(metadata={"description": "Good for one use."})
    token_type = fields.String(metadata={"description": "Bearer"})
    expires_in = fields.Integer(metadata={"description": "Seconds that the access token lasts."})


class UserSchema(AnswerSchema):
    """An account, as its user and the admins see it."""

    id = fields.UUID()
    username = fields.String()
    email = fields.String()
    role = fields.Enum(Role, by_value=fields.String)
    active = fields.Boolean(metadata={"description": "Whether they may sign in."})
    email_confirmed = fields.Boolean(metadata={"description": "Whether mails are sent to the address."})
    mail_alerts = fields.Boolean(metadata=MAIL_ALERTS)
    mail_daily = fields.Boolean(metadata=MAIL_DAILY)
    created_at = Timestamp()
    updated_at = Timestamp()


class MePatchSchema(Schema):
    """What you change about yourself; another password takes the present one."""

    email = EmailText("ada@example.org")
    password = PasswordText(required=False, examples=["a lamp and three chairs"], **NEW_PASSWORD)
    current_password = PasswordText(required=False)
    mail_alerts = Boolean(metadata=MAIL_ALERTS)
    mail_daily = Boolean(metadata=MAIL_DAILY)

    @validates_schema
    def validate_passwords(self, data: dict[str, Any], **_: object) -> None:
        if ("password" in data) != ("current_password" in data):
            missing = "current_password" if "password" in data else "password"
            raise ValidationError("Both are needed to change the password.", missing)


class UserPatchSchema(Schema):
    """What an admin changes about somebody."""

    role = fields.Enum(Role, by_value=fields.String)
    active = Boolean()
    email_confirmed = Boolean(metadata={"description": "Whether mails are sent to the address."})


class ConfirmEmailSchema(Schema):
    """The token that the mail has brought."""

    token = Text(
        min_length=1,
        max_length=MAX_LENGTH,
        required=True,
        metadata={"description": "The token of the mail; the link of the mail has it, too."},
    )


class UsersQuerySchema(ListQuerySchema):
    """Which users."""

    sort = SortText("username", "email", "created_at")
    q = Text(min_length=1, max_length=100, metadata={"description": "What their names or addresses contain."})
    role = fields.Enum(Role, by_value=fields.String)
    active = QueryBoolean()
