"""What schemathesis takes for a failure and is none, each with its reason."""

import re
from collections.abc import Callable
from itertools import chain

from schemathesis import Case
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData

from aggregator.clients.addresses import NOT_A_URL, NOT_HTTPS, NOT_PUBLIC
from aggregator.models import AlertKind

Excuse = Callable[[Failure, Case, Response], bool]
UNSTORABLE = "Contains a character that cannot be stored."
PRICES = "get_.*_price_(history|trend)"


def operation_of(case: Case) -> str:
    """The operationId that a case is for."""
    return str(case.operation.definition.raw["operationId"])


def excuse(failure: Failure, case: Case, response: Response) -> str | None:
    """Why a failure is none; None where it is one."""
    return next((reason for reason, holds in EXCUSES.items() if holds(failure, case, response)), None)


def refused(operations: str, *complaints: str) -> Excuse:
    """Good as far as the document goes, and yet a 422 of these operations that complains of these, or of NUL."""

    def holds(failure: Failure, case: Case, response: Response) -> bool:
        if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
            return False
        known = {UNSTORABLE, *complaints}
        return re.fullmatch(operations, operation_of(case)) is not None and _complaints(response) <= known

    return holds


def _complaints(response: Response) -> set[str]:
    problem = response.json()
    of_fields = [fields.values() for fields in problem.get("errors", {}).values() if isinstance(fields, dict)]
    return set(chain.from_iterable(chain.from_iterable(of_fields))) or {problem["detail"]}


def _of_gunicorn(failure: Failure, case: Case, response: Response) -> bool:
    return response.status_code == 414 and response.headers["content-type"] == ["text/html"]


def _of_no_version(failure: Failure, case: Case, response: Response) -> bool:
    return isinstance(failure, RejectedPositiveData) and response.status_code == 412 and "If-Match" in case.headers


def _sorted_twice(failure: Failure, case: Case, response: Response) -> bool:
    names = [name.removeprefix("-") for name in str(case.query.get("sort", "")).split(",")]
    twice = len(names) > len(set(names)) and isinstance(failure, RejectedPositiveData)
    return twice and list(response.json().get("errors", {}).get("query", {})) == ["sort"]


def _of_no_change(failure: Failure, case: Case, response: Response) -> bool:
    gone = (operation_of(case), response.status_code) == ("list_changes", 410)
    return gone and isinstance(failure, RejectedPositiveData) and int(case.query["cursor"]) > 0


def _asked_strictly(failure: Failure, case: Case, response: Response) -> bool:
    if not isinstance(failure, ServerError) or (operation_of(case), response.status_code) != ("get_status", 503):
        return False
    return case.query.get("strict") not in (None, "false", False) and bool(response.json()["problems"])


def _before_1970(failure: Failure, case: Case, response: Response) -> bool:
    if not refused(f"{PRICES}|list_(orders|products)", "Must not be before 1970.")(failure, case, response):
        return False
    return all(str(case.query[name])[:4] <= "1970" for name in response.json()["errors"]["query"])


def _good_form(failure: Failure, case: Case, response: Response) -> bool:
    if not isinstance(failure, AcceptedNegativeData) or operation_of(case) != "create_product_image":
        return False
    form = response.request.body
    one_image = isinstance(form, bytes) and form.count(b"Content-Disposition:") == form.count(b'; name="image"; ') == 1
    return one_image and any(b"\r\n\r\n" + signature in form for signature in (b"\x89PNG\r\n", b"\xff\xd8\xff"))


def _of_other_text(failure: Failure, case: Case, response: Response) -> bool:
    if not isinstance(failure, RejectedPositiveData) or operation_of(case) != "import_products":
        return False
    said = ("The first line has to name columns, ", "Nothing has been imported; see errors.")
    return response.status_code == 422 and str(response.json()["detail"]).startswith(said)


EXCUSES: dict[str, Excuse] = {
    "gunicorn itself refuses a first line of more than 4094 bytes, with a page of its own": _of_gunicorn,
    "no database stores NUL, and a document that forbade it in every text would say little else": refused(".*"),
    "a number that somebody made up is of no change, and a 410 is what it is for": _of_no_change,
    "a strict status is a 503 where anything is a problem, and here no worker runs": _asked_strictly,
    "an If-Match that somebody made up names no version, and a 412 is what it is for": _of_no_version,
    "a pattern cannot say that no name may stand twice in a sort": _sorted_twice,
    "a cursor that somebody made up leads nowhere": refused(
        "list_(products|categories|product_offers|offers|users|alerts|webhooks|webhook_deliveries|orders)",
        "Not a cursor of this list, sorted like this.",
    ),
    "what a period says has to fit together, and a document cannot compare its parameters": refused(
        PRICES,
        "Must be before until, and in the past.",
        "More than 10000 points: ask for a shorter period or a longer interval.",
    ),
    "moments are those from 1970 on, for which a document has nothing but words": _before_1970,
    "names are normalised, addresses parsed and passwords looked up: a pattern cannot say which will do": refused(
        "register|update_me",
        "Must have 3 to 80 letters, digits, dots, hyphens or underscores.",
        "Not an address.",
        "Is too common.",
        "Must not be the name or the address.",
    ),
    "a category is in another one that there is, and not in one of its own parts": refused(
        "(create|replace|update)_(product|category)",
        "There is no such category.",
        "It is a part of this category itself.",
        "The tree would be more than 10 categories deep.",
        "Small letters, digits and single hyphens, such as garden-chairs.",
    ),
    "an alert is for a product that there is, and what it can have and needs depends on its kind": refused(
        "create_alert|update_alert",
        "An alert watches one product or one category: product_id, or category_id.",
        *(
            "There is no such product.",
            "There is no such category.",
            "Needed for below.",
            "Needed for change.",
            "No more than 2 decimals.",
        ),
        *(f"Not for {kind}." for kind in AlertKind),
        "Set by_mail, by_webhook or both.",
    ),
    "what is ordered has to be there, and no document can say what is": refused(
        "add_cart_item|create_order|update_order|checkout",
        *("There is no such product.", "No more than 1000 of one product.", "There is nothing in your cart."),
    ),
    "a pattern cannot say which names and addresses are in the public internet": refused(
        "create_webhook|update_webhook", NOT_A_URL, NOT_HTTPS, NOT_PUBLIC, "The port must be 443."
    ),
    "the bad value was lost on the way into a form: what was sent is one image, and a good one": _good_form,
    "to a document a file of rows is any text, and few texts have rows that will do": _of_other_text,
}
