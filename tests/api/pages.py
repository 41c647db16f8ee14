"""What the headers of a page say."""

import json

from werkzeug.http import parse_options_header
from werkzeug.test import TestResponse


def links(response: TestResponse) -> dict[str, str]:
    """The addresses in the Link header by their rel."""
    found = {}
    for link in filter(None, response.headers.get("Link", "").split(", ")):
        address, options = link.split(">", 1)
        found[parse_options_header(f"link{options}")[1]["rel"]] = address.removeprefix("<")
    return found


def pagination(response: TestResponse) -> dict[str, int]:
    """What X-Pagination says."""
    found: dict[str, int] = json.loads(response.headers["X-Pagination"])
    return found
