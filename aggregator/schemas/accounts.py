"""The JSON of accounts. A password goes in, and never comes out."""

from marshmallow import Schema, ValidationError, fields, validates_schema

from aggregator.models import Role
from aggregator.models.accounts import EMAIL_LENGTH, MAX_PASSWORD_LENGTH, USERNAME_LENGTH
from aggregator.schemas.fields import Text, Timestamp
from aggregator.schemas.paging import ListQuerySchema


class PasswordText(Text):
    """A password; 8 characters are the least for a new one."""

    def __init__(self, description: str = "") -> None:
        super().__init__(
            max_length=MAX_PASSWORD_LENGTH,
            required=True,
            load_only=True,
            metadata={"format": "password"} | ({"description": description} if description else {}),
        )


class RegisterSchema(Schema):
    """A new account."""

    username = Text(
        max_length=USERNAME_LENGTH,
        required=True,
        metadata={"description": "3 to 80 letters, digits, dots, hyphens or underscores."},
    )
    email = Text(max_length=EMAIL_LENGTH, required=True, metadata={"format": "email"})
    password = PasswordText("8 to 128 characters, of any kind, that are not easily guessed.")


class LoginSchema(Schema):
    """Who you are, and how you can tell."""

    username = Text(
        max_length=EMAIL_LENGTH, required=True, metadata={"description": "Your name, or your e-mail address."}
    )
    password = PasswordText()


class TokensSchema(Schema):
    """Tokens to call with: the access token for everything, the refresh token for new ones."""

    access_token = fields.String()
    refresh_token = fields.String(metadata={"description": "Good for one use."})
    token_type = fields.String(metadata={"description": "Bearer"})
    expires_in = fields.Integer(metadata={"description": "Seconds that the access token lasts."})


class UserSchema(Schema):
    """An account, as its user and the admins see it."""

    id = fields.UUID()
    username = fields.String()
    email = fields.String()
    role = fields.Enum(Role, by_value=True)
    active = fields.Boolean(metadata={"description": "Whether they may sign in."})
    created_at = Timestamp()
    updated_at = Timestamp()


class MePatchSchema(Schema):
    """What you change about yourself; another password takes the present one."""

    email = Text(max_length=EMAIL_LENGTH, metadata={"format": "email"})
    password = Text(max_length=MAX_PASSWORD_LENGTH, load_only=True, metadata={"format": "password"})
    current_password = Text(max_length=MAX_PASSWORD_LENGTH, load_only=True, metadata={"format": "password"})

    @validates_schema
    def validate_passwords(self, data: dict[str, str], **_: object) -> None:
        if ("password" in data) != ("current_password" in data):
            missing = "current_password" if "password" in data else "password"
            raise ValidationError("Both are needed to change the password.", missing)


class UserPatchSchema(Schema):
    """What an admin changes about somebody."""

    role = fields.Enum(Role, by_value=True)
    active = fields.Boolean()


class UsersQuerySchema(ListQuerySchema):
    """Which users."""

    q = Text(min_length=1, max_length=100, metadata={"description": "What their names or addresses contain."})
    role = fields.Enum(Role, by_value=True)
    active = fields.Boolean()
