"""The contract: which requests there are, and what each answer means for each call."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.clients.offers import (
    MAX_DETAIL,
    MAX_RETRY_AFTER,
    TOKEN_LIFE,
    AccessToken,
    OffersError,
    OffersService,
    ProductRefused,
    ProductTaken,
    ProductUnknown,
    ServiceDown,
    TokenHeld,
    TokenRefused,
    check_offers,
    normalized_base_url,
    offers_in,
    read_auth,
    read_registration,
)
from aggregator.clients.wire import TIMED_OUT, Reply, Request, TransportError, retry_after_seconds

NOW = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)
BASE = "https://offers.example/api/v1"
SECRET = "my-refresh-token"
V2 = OffersService(BASE, refresh_token=SECRET)
V1 = OffersService(BASE)
PRODUCT_ID = "11111111-2222-3333-4444-555555555555"


def reply(status=200, content=None, content_type="application/json", body=None, retry_after=None) -> Reply:
    return Reply(status, content_type, json.dumps(content).encode() if body is None else body, retry_after)


def jwt(claims) -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"e30.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.c2ln"


class TestBaseUrl:
    @pytest.mark.parametrize(
        "written",
        [
            "https://offers.example",
            "https://offers.example/",
            "https://offers.example//",
            "https://offers.example/api/v1",
            "https://offers.example/api/v1/",
            "https://offers.example/api/v1//",
            "https://offers.example//api/v1",
        ],
    )
    def test_it_ends_in_the_prefix_however_much_of_it_is_written(self, written):
        assert normalized_base_url(written) == BASE

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("http://host:8001", "http://host:8001/api/v1"),
            ("http://host/offers/api/v1/", "http://host/offers/api/v1"),
            ("http://host/offers", "http://host/offers/api/v1"),
            ("http://host/api/v10", "http://host/api/v10/api/v1"),
        ],
    )
    def test_ports_and_paths_of_the_host_are_kept(self, written, meant):
        assert normalized_base_url(written) == meant

    @given(st.text(max_size=30))
    def test_normalising_twice_changes_nothing_more(self, text):
        once = normalized_base_url(text)

        assert normalized_base_url(once) == once


class TestRequests:
    def test_signing_in_sends_the_refresh_token_in_the_header_bearer_and_no_body(self):
        assert V2.auth_request() == Request("POST", f"{BASE}/auth", (("Bearer", SECRET),), b"")

    def test_signing_up_in_the_first_generation_sends_nothing(self):
        assert V1.auth_request() == Request("POST", f"{BASE}/auth", (), b"")

    def test_every_other_call_has_the_bare_token_in_the_header_bearer(self):
        assert V2.headers("abc", "request-1") == (
            ("Bearer", "abc"),
            ("X-Request-ID", "request-1"),
            ("Content-Type", "application/json"),
        )

    @pytest.mark.parametrize("service", [V1, V2])
    def test_a_registration_is_the_id_name_and_description_as_json(self, service):
        headers = service.headers("abc", "r")
        request = service.register_request(headers, PRODUCT_ID, "Lámpa \U0001f4a1", "")

        assert (request.method, request.url, request.headers) == ("POST", f"{BASE}/products/register", headers)
        assert json.loads(request.body) == {"id": PRODUCT_ID, "name": "Lámpa \U0001f4a1", "description": ""}
        assert request.body.isascii()

    def test_offers_are_asked_for_by_the_id_in_the_path(self):
        headers = V2.headers("abc", "r")

        assert V2.offers_request(headers, PRODUCT_ID) == Request("GET", f"{BASE}/products/{PRODUCT_ID}/offers", headers)


class TestFingerprint:
    def test_it_is_short_stable_and_gives_nothing_away(self):
        assert V2.fingerprint == OffersService(BASE, SECRET).fingerprint
        assert len(V2.fingerprint) == 12
        assert SECRET not in V2.fingerprint

    def test_another_credential_or_another_service_is_another_account(self):
        services = [
            V1,
            V2,
            OffersService(BASE, "another"),
            OffersService(BASE, access_token="permanent"),
            OffersService("https://elsewhere.example/api/v1", SECRET),
        ]

        assert len({service.fingerprint for service in services}) == 5


class TestNoSecretIsShown:
    def test_by_a_service(self):
        shown = repr(OffersService(BASE, SECRET, "permanent-token"))

        assert shown == f"OffersService('{BASE}')"

    def test_by_a_token(self):
        assert repr(AccessToken("secret", NOW)) == f"AccessToken(expires_at={NOW})"

    @pytest.mark.parametrize(
        "request_",
        [V2.auth_request(), V2.register_request(V2.headers("secret", "r"), PRODUCT_ID, "x", "")],
    )
    def test_by_a_request(self, request_):
        assert repr(request_) == f"Request(method='POST', url='{request_.url}')"

    def test_by_an_answer(self):
        assert "secret" not in repr(reply(201, {"access_token": "secret"}))

    def test_by_an_error_about_an_answer_with_a_token(self):
        with pytest.raises(ServiceDown) as raised:
            read_auth(reply(201, ["secret"]), NOW)

        assert "secret" not in repr(raised.value)


class TestAnswersToAuth:
    @pytest.mark.parametrize("status", [200, 201, 202, 299])
    def test_any_success_with_a_token_will_do(self, status):
        token = jwt({"expires": NOW.timestamp() + 120})

        assert read_auth(reply(status, {"access_token": token}), NOW) == AccessToken(token, NOW + timedelta(minutes=2))

    def test_a_permanent_token_never_expires(self):
        token = "6c2f7d0e-0000-0000-0000-000000000001"

        assert read_auth(reply(201, {"access_token": token}), NOW, permanent=True) == AccessToken(token, None)

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, TokenHeld),
            (401, TokenRefused),
            (403, TokenRefused),
            (406, TokenRefused),
            (422, TokenRefused),
            *[(status, ServiceDown) for status in (204, 301, 302, 304, 307, 404, 405, 409, 429, 500, 502, 503, 504)],
        ],
    )
    def test_every_other_status_has_its_meaning(self, status, error):
        with pytest.raises(OffersError) as raised:
            read_auth(reply(status, {"detail": "no"}, body=b"" if status == 204 else None), NOW)

        assert type(raised.value) is error

    @pytest.mark.parametrize(
        "content",
        [
            {},
            [],
            None,
            "token",
            {"access_token": None},
            {"access_token": 12},
            {"access_token": ""},
            {"access_token": ["a"]},
            {"access_token": "a\r\nHost: elsewhere"},
            {"access_token": "a\u0000"},
            {"access_token": "tök"},
            {"access_token": "a" * 4097},
        ],
    )
    def test_a_success_without_a_usable_token_is_a_failure(self, content):
        with pytest.raises(ServiceDown):
            read_auth(reply(201, content), NOW)

    def test_a_transport_that_failed_is_a_service_that_is_down(self):
        with pytest.raises(ServiceDown, match="timed out"):
            read_auth(TransportError(TIMED_OUT), NOW)


class TestExpiry:
    def expiry(self, token: str) -> datetime | None:
        return read_auth(reply(201, {"access_token": token}), NOW).expires_at

    @pytest.mark.parametrize("seconds", [1, 299, 300, 301, 86_400, 0.5])
    def test_it_is_the_claim_expires(self, seconds):
        expires = NOW.timestamp() + seconds

        assert self.expiry(jwt({"expires": expires, "exp": 1})) == NOW + timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "token",
        [
            "opaque",
            "6c2f7d0e-0000-0000-0000-000000000001",
            "a.b.c",
            "..",
            "e30.!!!.c2ln",
            jwt({}),
            jwt({"exp": NOW.timestamp() + 60}),
            jwt([1]),
            jwt(7),
            jwt("text"),
            jwt(None),
            jwt(b"\xff\xfe"),
            jwt(b"[" * 2500),
            jwt(b'{"expires": NaN}'),
            jwt(b'{"expires": 1e400}'),
            jwt(b'{"expires": ' + b"9" * 1000 + b"}"),
            jwt({"expires": None}),
            jwt({"expires": "2026-05-04T12:00:00Z"}),
            jwt({"expires": "1777900000"}),
            jwt({"expires": [1]}),
            jwt({"expires": 1e30}),
            jwt({"expires": -1e30}),
            jwt({"expires": NOW.timestamp() * 1000}),
        ],
    )
    def test_where_it_cannot_be_read_it_is_five_minutes_from_now(self, token):
        assert self.expiry(token) == NOW + TOKEN_LIFE == NOW + timedelta(minutes=5)

    @pytest.mark.parametrize("expires", [True, False, 0, -1, -3e10, -62_135_596_800, NOW.timestamp() - 1])
    def test_a_token_that_has_expired_before_it_was_given_out_means_that_a_clock_is_wrong(self, expires):
        assert self.expiry(jwt({"expires": expires})) == NOW + timedelta(minutes=5)

    @given(st.binary(max_size=60) | st.dictionaries(st.sampled_from(["expires", "exp"]), st.integers() | st.floats()))
    def test_whatever_a_token_says_it_expires_in_the_future(self, claims):
        assert self.expiry(jwt(claims)) > NOW


class TestAnswersToARegistration:
    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_any_success_that_is_a_json_object_will_do(self, status):
        assert read_registration(reply(status, {"id": PRODUCT_ID})) is None

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, ProductRefused),
            (401, TokenRefused),
            (406, TokenRefused),
            (409, ProductTaken),
            (422, ProductRefused),
            *[(status, ServiceDown) for status in (301, 302, 403, 404, 405, 429, 500, 502, 503, 504)],
        ],
    )
    def test_every_other_status_has_its_meaning(self, status, error):
        with pytest.raises(OffersError) as raised:
            read_registration(reply(status, {"detail": "no"}))

        assert type(raised.value) is error

    @pytest.mark.parametrize(
        "answer",
        [
            reply(200, body=b"<html>", content_type="text/html"),
            reply(200, {"id": PRODUCT_ID}, content_type="text/plain"),
            reply(200, {"id": PRODUCT_ID}, content_type=""),
            reply(201, body=b'{"id":'),
            reply(201, body=b""),
            reply(201, [PRODUCT_ID]),
            reply(201, body=b"[" * 100_000),
            TransportError(TIMED_OUT),
        ],
        ids=repr,
    )
    def test_an_answer_that_makes_no_sense_proves_nothing(self, answer):
        with pytest.raises(ServiceDown):
            read_registration(answer)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ({"detail": "Too long"}, "Too long"),
            ({"code": "BAD_REQUEST", "msg": "id is missing"}, "id is missing"),
            (
                {"detail": [{"loc": ["body", "name"], "msg": "field required", "type": "x"}, {"loc": [0], "msg": "b"}]},
                "body.name: field required; 0: b",
            ),
            ({"detail": []}, "the product is refused"),
            ({"detail": [{"loc": 7, "msg": "b"}]}, "the product is refused"),
            ({"detail": ["plain"]}, "the product is refused"),
            ({"detail": None}, "the product is refused"),
            ({"detail": {"a": 1}}, "{'a': 1}"),
            ({}, "the product is refused"),
            ([1], "the product is refused"),
            (None, "the product is refused"),
            ({"detail": "x" * 2000}, "x" * MAX_DETAIL),
        ],
    )
    def test_a_refusal_carries_the_words_of_the_service(self, content, words):
        with pytest.raises(ProductRefused) as raised:
            read_registration(reply(422, content))

        assert raised.value.reason == words

    def test_words_that_no_database_can_store_become_blanks(self):
        with pytest.raises(ProductRefused) as raised:
            read_registration(reply(422, body=b'{"detail": "a\\u0000b\\ud800c\\r\\nd"}'))

        assert raised.value.reason == "a b c  d"

    @given(st.binary(max_size=80) | st.builds(lambda text: json.dumps({"detail": text}).encode(), st.text()))
    def test_whatever_a_refusal_says_it_is_a_refusal_in_printable_words(self, body):
        with pytest.raises(ProductRefused) as raised:
            read_registration(reply(422, body=body, content_type="?"))

        assert raised.value.reason
        assert raised.value.reason.isprintable()


class TestAnswersToOffers:
    @pytest.mark.parametrize(
        "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
    )
    def test_a_success_with_json_is_passed_on(self, content_type):
        answer = reply(200, [], content_type)

        assert check_offers(answer) is answer

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, TokenRefused),
            (406, TokenRefused),
            (404, ProductUnknown),
            *[
                (status, ServiceDown)
                for status in (301, 302, 304, 307, 400, 403, 409, 410, 422, 429, 500, 502, 503, 504)
            ],
        ],
    )
    def test_every_other_status_has_its_meaning(self, status, error):
        with pytest.raises(OffersError) as raised:
            check_offers(reply(status, []))

        assert type(raised.value) is error

    @pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "", "application/octet-stream"])
    def test_a_success_that_is_no_json_is_a_failure(self, content_type):
        with pytest.raises(ServiceDown, match="not JSON"):
            check_offers(reply(200, [], content_type))

    def test_a_status_without_a_body_is_not_an_empty_list(self):
        with pytest.raises(ServiceDown):
            check_offers(Reply(204, "", b""))

    def test_the_offers_are_read_from_the_body(self):
        rows = [{"id": PRODUCT_ID, "price": 5, "items_in_stock": 1}]

        assert offers_in(reply(200, rows)).rows == {PRODUCT_ID: (5, 1)}

    @pytest.mark.parametrize("body", [b"", b"{}", b"[", b"null", b"<html>"])
    def test_a_body_that_is_no_list_is_a_failure_and_not_an_empty_list(self, body):
        with pytest.raises(ServiceDown, match="not a JSON list of offers"):
            offers_in(reply(200, body=body))

    @pytest.mark.parametrize("status", [429, 503, 500])
    def test_a_failure_tells_how_long_the_service_wants_to_be_left_alone(self, status):
        with pytest.raises(ServiceDown) as raised:
            check_offers(reply(status, body=b"", content_type="text/plain", retry_after="7"))

        assert (raised.value.reason, raised.value.retry_after) == (f"it answered {status}", 7.0)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("0", 0.0),
            ("7", 7.0),
            ("0.5", 0.5),
            (" 12 ", 12.0),
            ("300", 300.0),
            ("301", 300.0),
            ("1000000000", 300.0),
            ("9" * 300, 300.0),
            ("9" * 400, 300.0),
            ("1_0", None),
            ("\u0667", None),  # a digit, and none of HTTP's
            ("1e2", None),
            ("-1", None),
            ("-0.1", None),
            ("nan", None),
            ("inf", None),
            ("-inf", None),
            ("", None),
            ("soon", None),
            ("5 seconds", None),
            ("5, 7", None),
            ("Mon, 04 May 2026 12:30:45 GMT", 30.0),
            ("Monday, 04-May-26 12:30:45 GMT", 30.0),
            ("Mon, 04 May 2026 14:30:45 +0200", 30.0),
            ("Mon, 04 May 2026 12:30:45 -0000", 30.0),
            ("Mon, 04 May 2026 13:30:15 GMT", 300.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
            ("Mon, 04 May 2026 12:30:15 GMT", 0.0),
            ("Mon, 04 May 2026 12:30:14 GMT", None),
            ("Mon, 01 Jan 0001 00:00:00 +1400", None),
            ("Mon, 32 May 2026 12:30:45 GMT", None),
            ("Mon, 04 May 99999999999999999999 12:30:45 GMT", None),
            ("Mon, 04 May 2026 12:30:45 +99999999999999", None),
            ("Mon, 04 May 2026 99999999999999999999:30:45 GMT", None),
        ],
    )
    def test_is_seconds_or_a_date_within_five_minutes_or_nothing(self, value, seconds):
        assert retry_after_seconds(value, NOW, MAX_RETRY_AFTER) == seconds

    @given(
        st.text(max_size=40)
        | st.builds(
            "Mon, {} May {} {}:{}:{} {}".format, *[st.integers(0, 10**25)] * 5, st.sampled_from(["GMT", "+9", ""])
        )
    )
    def test_whatever_it_says_the_pause_is_sane(self, value):
        seconds = retry_after_seconds(value, NOW, MAX_RETRY_AFTER)

        assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER
