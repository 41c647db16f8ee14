"""Answers whose JSON the database has written, with the headers of caches and pages."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.http import quote_etag

from aggregator.services.listing import Page

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

UNCHANGED = "You have it already (If-None-Match)"


def documented(required: bool, **descriptions: str) -> dict[str, Any]:
    """Headers as the document describes them; an underscore stands for a hyphen."""
    return {
        name.replace("_", "-"): {"description": text, "required": required, "schema": {"type": "string"}}
        for name, text in descriptions.items()
    }


TAG_HEADERS = documented(True, ETag="Send it back as If-None-Match, and get a 304 while nothing has changed.")
PAGE_HEADERS = TAG_HEADERS | documented(
    False,
    X_Pagination="JSON: how many things and pages there are, and which page this is; `total_at_least` where there are "
    "more than a thousand, or nobody has counted. Not where a cursor was followed.",
    Link="Where the first, previous, next and last pages are; next walks by cursor.",
)
CHANGES_HEADERS = TAG_HEADERS | documented(True, Link="With rel=next: where to ask for what comes after these.")
CREATED_HEADERS = documented(True, Location="Where it is.") | documented(
    False, Idempotency_Replayed="`true`: it had been created before, by a request with the same Idempotency-Key."
)


class ReadyResponse(Response):
    """An answer whose headers are complete: they are neither searched nor copied on the way out."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """The headers as they are."""
        return self.headers


def json_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of ready-made JSON."""
    content = text.encode()
    described = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    return ReadyResponse(content, status, described | dict(headers or {}))


def tagged(text: str, tag: str | None = None) -> Response:
    """An answer with an ETag, or a 304 for who has it already."""
    tag = tag or sha256(text.encode()).hexdigest()[:24]
    return not_modified(tag) or json_response(text, headers=_revalidated(tag))


def not_modified(tag: str) -> Response | None:
    """A 304 where the client has what the tag stands for."""
    if not request.if_none_match.contains_weak(tag):
        return None
    return ReadyResponse(status=304, headers=_revalidated(tag))


def _revalidated(tag: str) -> dict[str, str]:
    """The headers that say: keep it, but ask each time whether it still holds."""
    return {"ETag": quote_etag(tag), "Cache-Control": "no-cache"}


def page_response(pages: Callable[..., Page], query: dict[str, Any]) -> Response:
    """The page that query asks for, with a Link header and, unless a cursor was followed, X-Pagination."""
    position = {name: query.pop(name, None) for name in ("sort", "page_size", "cursor")}
    number = query.pop("page", 1)
    page = pages(query, sort=position["sort"], size=position["page_size"], number=number, cursor=position["cursor"])
    response = tagged(page.text)
    links = {} if page.next_cursor is None else {"next": url_with(cursor=page.next_cursor, page=None)}
    if page.total is not None:
        count = -(-page.total // position["page_size"])
        response.headers["X-Pagination"] = json.dumps(_pagination(page, count, number))
        links |= {"first": url_with(page=1)}
        links |= {"last": url_with(page=max(count, 1))} if page.is_counted else {}
        before = min(number - 1, max(count, 1)) if page.is_counted else number - 1
        links |= {"prev": url_with(page=before)} if number > 1 else {}
    return linked(response, links)


def linked(response: Response, links: Mapping[str, str]) -> Response:
    """An answer with links to others: their URLs by what they are to this one."""
    if links:
        response.headers["Link"] = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items())
    return response


def _pagination(page: Page, pages: int, number: int) -> dict[str, Any]:
    if not page.is_counted:
        metadata = {"total_at_least": page.total, "first_page": 1, "page": number}
        metadata |= {"previous_page": number - 1} if number > 1 else {}
        return metadata | ({"next_page": number + 1} if page.next_cursor else {})
    metadata = {"total": page.total, "total_pages": pages}
    if not page.total:
        return metadata
    metadata |= {"first_page": 1, "last_page": pages, "page": number}
    metadata |= {"previous_page": number - 1} if 1 < number <= pages + 1 else {}
    return metadata | ({"next_page": number + 1} if number < pages else {})


def url_with(**changes: Any) -> str:
    """Where the same request with other parameters goes; without those that are None."""
    query = {**request.args.to_dict(), **changes}
    return f"{request.path}?{urlencode({name: value for name, value in query.items() if value is not None})}"
