"""The pages that mails lead to: a button each. Only the button changes something, for mail scanners follow links."""

from flask import Blueprint, Response, make_response, render_template, request

from aggregator.database import database_now, in_transaction
from aggregator.errors import BadMailToken
from aggregator.extensions import mail_tokens
from aggregator.services import confirmations

# Text and a style sheet within the page, and a form that leads back to it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
OLD = "This link is too old, or has been used already."

blueprint = Blueprint("account_pages", __name__)


@blueprint.get("/account/confirm-email")
def confirm_page() -> Response:
    """Ask whether an address is to be confirmed."""
    return _page("Confirm your e-mail address", "Is this account yours?", button="Confirm my address")


@blueprint.post("/account/confirm-email")
def confirm_page_button() -> Response:
    """Confirm an address."""
    try:
        user_id, confirmation_id = mail_tokens().read_confirmation(_token())
        in_transaction(lambda: confirmations.confirm(user_id, confirmation_id, database_now()))
    except BadMailToken:
        return _page("Confirm your e-mail address", f"{OLD} Ask for another one after you have signed in.", status=422)
    return _page("Your e-mail address is confirmed", "Thank you. You can close this page.")


@blueprint.get("/api/v1/mail/unsubscribe")
def unsubscribe_page() -> Response:
    """Ask whether mails are no longer wanted."""
    return _page("Unsubscribe", "Do you want no more of these mails?", button="Send me no more")


@blueprint.post("/api/v1/mail/unsubscribe")
def unsubscribe_page_button() -> Response:
    """Send no more mails of a kind: for the button, and for mail programs that post it themselves (RFC 8058)."""
    try:
        user_id, which = mail_tokens().read_unsubscription(_token())
    except BadMailToken:
        return _page("Unsubscribe", f"{OLD} You can turn the mails off in your account.", status=422)
    in_transaction(lambda: confirmations.unsubscribe(user_id, which, database_now()))
    return _page("Unsubscribed", "You get no more of these mails. Your account has the switch to turn them on again.")


def _token() -> str:
    """The token, as the form or the link has it."""
    return request.form.get("token") or request.args.get("token", "")


def _page(title: str, text: str, button: str = "", status: int = 200) -> Response:
    token = request.args.get("token", "") if button else ""
    html = render_template("account/page.html", title=title, text=text, button=button, token=token)
    response = make_response(html, status)
    response.headers["Content-Security-Policy"] = POLICY
    response.cache_control.no_store = True
    return response
