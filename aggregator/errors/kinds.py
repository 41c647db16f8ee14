"""What can go wrong, by kind: a kind has a status, which api/problems.py knows, and each error of it a code.

An error is a class. Its docstring is what clients read: the first paragraph is the detail of a problem, the others say
on the page of its type what to do about it. Its code is for machines and never changes. To add an error, write a class
with both, here or beside its like, and name it where an operation can raise it (`@blueprint.problems(...)`).
"""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, ClassVar


class ProblemError(Exception):
    """The server failed to answer the request.

    This is our mistake, not yours. Report the `request_id`; the log has the details under it. A GET can be sent again,
    and so can a POST with an Idempotency-Key.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        if not self.code:
            raise TypeError(f"{type(self).__name__} is a kind of errors; raise one of them, which has a code")
        self.detail = detail or self.message()
        self.extra = extra
        super().__init__(self.detail)

    @classmethod
    def message(cls) -> str:
        """What the detail says where the place that raises the error has nothing to add."""
        return paragraphs(cls)[0]


def paragraphs(error: type[ProblemError]) -> list[str]:
    """The docstring of an error: its message, and what to do."""
    return [" ".join(part.split()) for part in cleandoc(error.__doc__ or "").split("\n\n")]


def every_error(of: type[ProblemError] = ProblemError) -> Iterator[type[ProblemError]]:
    """All errors that have a code of their own."""
    if vars(of).get("code"):
        yield of
    for kind in of.__subclasses__():
        yield from every_error(kind)


class Malformed(ProblemError):
    """The body of the request cannot be read.

    Send one JSON value in UTF-8, or, where the operation takes a file, a form as multipart/form-data. The detail says
    what is wrong.
    """

    code = "malformed_body"


class Unauthorized(ProblemError):
    """This needs an access token, as `Authorization: Bearer ...`.

    Sign in at `POST /api/v1/auth/login` and send the `access_token` of the answer with each request.
    """

    code = "not_authenticated"
    bearer_error: ClassVar[str | None] = None  # RFC 6750's word for it, where a token was sent


class Forbidden(ProblemError):
    """Your role does not allow this.

    The operation is for admins. An admin can give you the role with `PATCH /api/v1/users/{user_id}`; on the server,
    `flask users set-role` does.
    """

    code = "role_required"


class TooMany(ProblemError):
    """Too many attempts. Try again later.

    Wait for the seconds that `Retry-After` says. Attempts meanwhile are refused without being looked at.
    """

    code = "rate_limited"

    def __init__(self, retry_after: float) -> None:
        super().__init__(None, retry_after=retry_after)  # seconds


class NotFound(ProblemError):
    """There is no such thing.

    Check the path and the id. It may have been deleted, or belong to another user.
    """

    code = "not_found"


class MethodNotAllowed(ProblemError):
    """The method is not allowed for this URL.

    `Allow` lists the methods that are.
    """

    code = "method_not_allowed"


class TooLarge(ProblemError):
    """The request is too large.

    A body of JSON may have 1 MiB, 64 KiB where no token is needed; an import 64 MiB. Send less at once.
    """

    code = "body_too_large"


class Unsupported(ProblemError):
    """Unsupported media type.

    Send the `Content-Type` that the operation takes, `application/json` for most. The detail names it.
    """

    code = "unsupported_media_type"


class Conflict(ProblemError):
    """The request conflicts with the state of the server."""

    code = ""


class EditedMeanwhile(ProblemError):
    """It has been changed since the version named in If-Match.

    Read it again, apply your change to what is there now, and send it with the new `ETag`.
    """

    code = "version_conflict"


class Invalid(ProblemError):
    """The request cannot be processed."""

    code = ""

    def __init__(self, detail: str | None = None, errors: dict[str, Any] | None = None) -> None:
        super().__init__(detail, **({"errors": errors} if errors else {}))


class Unavailable(ProblemError):
    """The service cannot answer just now. Try again in a moment.

    Send the request again after the seconds that `Retry-After` says, a POST with the same Idempotency-Key.
    """

    code = "service_unavailable"


class UsageError(ProblemError):
    """The program was started in a way that cannot work."""
