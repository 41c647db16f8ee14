"""What can be wrong with a request, whatever it is about."""

from aggregator.errors.kinds import Conflict, Invalid, ProblemError, Unauthorized, Unavailable


class Unacceptable(ProblemError):
    """The request cannot be understood.

    The status and the detail say why, for example that the URL is too long.
    """

    code = "bad_request"


class ValidationFailed(Invalid):
    """The request is invalid; see errors.

    `errors` has the messages by place (`json`, `query`, `headers`, `files`) and by field. Correct these and send the
    request again.
    """

    code = "validation_failed"


class InvalidCursor(Invalid):
    """The cursor is not one of this list, sorted like this; see errors.

    Take cursors from the `Link` header of an answer, and keep the other parameters as they were. To begin again, leave
    the cursor out.
    """

    code = "invalid_cursor"


class CursorGone(ProblemError):
    """The cursor is of a change that this database does not have; start over without one.

    The database has been restored from an earlier state, or is another one, so your copy may have what it has not.
    Read `/changes` without a cursor to its end, read each product that it names, and delete from your copy what it
    does not name.
    """

    code = "cursor_gone"


class ReferenceGone(Invalid):
    """Something that the request refers to does not exist; see errors.

    `errors` names the field. What it refers to was never there, or has been deleted: read the list again and choose
    another one.
    """

    code = "reference_gone"


class TokenExpired(Unauthorized):
    """The token has expired.

    Exchange the refresh token at `POST /api/v1/auth/refresh`, and send the request again with the new access token. If
    it was the refresh token, sign in again.
    """

    code = "token_expired"
    bearer_error = "invalid_token"


class TokenInvalid(Unauthorized):
    """The token is not one of ours.

    It is damaged, made for something else (a refresh token is good for `POST /api/v1/auth/refresh` only), or signed
    with another key. Sign in again.
    """

    code = "token_invalid"
    bearer_error = "invalid_token"


class TokenRevoked(Unauthorized):
    """The token has been revoked; sign in again.

    The sign-in has ended: somebody signed out, the password or the role was changed, or a refresh token was used twice.
    """

    code = "token_revoked"
    bearer_error = "invalid_token"


class WrongCredentials(Unauthorized):
    """The name or the password is wrong.

    Ask the user to type both again. Which of them is wrong is not said, and an account that may not sign in gets the
    same answer.
    """

    code = "wrong_credentials"


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request.

    Use a new key for each new request. Only a repetition of the very same request has the same key.
    """

    code = "idempotency_key_reused"


class InProgress(Conflict):
    """The first request with this Idempotency-Key is still being worked on. Try again in a second.

    Send the same request again after the seconds that `Retry-After` says: its answer is then the first one's.
    """

    code = "request_in_progress"


class ChangedMeanwhile(Conflict):
    """Another request has just changed something that this one refers to, or has made the same.

    Nothing was done. Read again what is there, and send the request again if it still makes sense.
    """

    code = "changed_meanwhile"


class DatabaseUnavailable(Unavailable):
    """The service cannot answer just now. Try again in a moment.

    The database does not answer, or is busy. Nothing was done, or the answer was lost: send the request again after the
    seconds that `Retry-After` says, a POST with the same Idempotency-Key.
    """

    code = "database_unavailable"


class LimitReached(Conflict):
    """There are as many of these as there may be.

    The detail names the limit. Delete something first, or ask for less.
    """

    code = "limit_reached"
