"""Webhooks on the wire: the specification's own library believes them, and nobody inside ever gets one."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pycurl
import pytest
import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from aggregator.clients import many
from aggregator.clients.addresses import NOT_A_URL, AddressRules
from aggregator.clients.many import ManyRequests
from aggregator.clients.webhooks import MAX_ANSWER_BYTES, Answer, answer, signed, webhook_requests
from aggregator.clients.wire import (
    CUT_OFF,
    FORBIDDEN,
    TIMED_OUT,
    TOO_LARGE,
    UNREACHABLE,
    Reply,
    Request,
    TransportError,
)
from aggregator.clock import utcnow
from tests.builders import SECRET
from tests.clients.conftest import SECONDS, SLACK
from tests.clients.test_addresses import REFUSED
from tests.wire import drips, hangs, http, repeats, says, wire

OTHER_SECRET = "whsec_b3RoZXIgc2VjcmV0LCBvZiB0aGlydHktdHdvIGJ5dGVzLi4="
ID = UUID("0b9c1f0e-7a54-4b6e-9f0a-64e1d1a9a2aa")
BODY = b'{"type":"product.created","timestamp":"2026-05-04T12:30:15.250000Z","data":{"name":"\xc3\xa9"}}'
HERE = AddressRules(test_hosts=("127.0.0.1",))


def message(url: str = "https://shop.example.com/hook", secrets: tuple[str, ...] = (SECRET,)) -> Request:
    return signed(url, ID, BODY, secrets, utcnow())


def sent(request: Request, rules: AddressRules = HERE, seconds: float = SECONDS) -> Answer:
    """What comes of sending a request, in less time than a webhook has."""
    requests = webhook_requests(rules)
    requests.seconds = seconds
    return answer(*(ended[1] for ended in requests.exchange([(0, request)]) if ended is not None))


def believes(request: Request, secret: str = SECRET, body: bytes = BODY, **tampered: str) -> bool:
    """Whether the specification's own library takes a request for ours."""
    headers = dict(request.headers) | {name.replace("_", "-"): value for name, value in tampered.items()}
    try:
        return Webhook(secret).verify(body, headers) == json.loads(body)
    except WebhookVerificationError:
        return False


class TestSignatures:
    def test_are_believed_by_the_library_of_the_specification(self):
        assert believes(message())

    def test_are_those_of_the_specification(self, now):
        request = signed("https://shop.example.com/", ID, b"{}", [SECRET], now)

        assert dict(request.headers) == {
            "Content-Type": "application/json",
            "webhook-id": str(ID),
            "webhook-timestamp": "1777897815",
            "webhook-signature": Webhook(SECRET).sign(str(ID), now, "{}"),
        }
        assert (request.method, request.body) == ("POST", b"{}")

    def test_hold_for_nothing_but_what_was_sent(self):
        request = message()
        moment = str(int(utcnow().timestamp()) - 1)

        assert not believes(request, webhook_id=str(UUID(int=ID.int + 1)))
        assert not believes(request, webhook_timestamp=moment)
        assert not believes(request, body=BODY.replace(b"created", b"deleted"))
        assert not believes(request, body=BODY + b" ")
        assert not believes(request, secret=OTHER_SECRET)

    def test_of_long_ago_are_not_believed(self):
        assert not believes(signed("https://a.example/", ID, BODY, [SECRET], utcnow() - timedelta(minutes=6)))

    def test_of_a_rotation_are_two_and_either_secret_will_do(self):
        request = message(secrets=(OTHER_SECRET, SECRET))

        assert believes(request, SECRET)
        assert believes(request, OTHER_SECRET)
        one, other = dict(request.headers)["webhook-signature"].split(" ")
        assert one != other
        assert one.startswith("v1,")

    def test_and_secrets_are_in_no_repr(self):
        request = message()

        assert SECRET not in repr(request)
        assert dict(request.headers)["webhook-signature"] not in repr(request)


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_of_two_hundred_and_something_mean_it_has_arrived(self, status):
        with wire(says(http(status, b"", length=-1 if status == 204 else None))) as server:
            assert sent(message(server.url)) == Answer(status, None)

    @pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 429, 500, 503])
    def test_of_any_other_status_are_failures(self, status):
        with wire(says(http(status, b""))) as server:
            found = sent(message(server.url))

        assert found == Answer(status, f"answered {status}")
        assert found.gone == (status == 410)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_that_lead_elsewhere_are_not_followed(self, status):
        with wire(says(http())) as elsewhere, wire(says(http(status, b"", Location=elsewhere.url))) as server:
            assert sent(message(server.url)) == Answer(status, f"answered {status}")
            assert elsewhere.connections == 0

    @pytest.mark.parametrize(("status", "error"), [(200, None), (500, "answered 500"), (410, "answered 410")])
    def test_of_ten_megabytes_count_by_their_status_and_are_not_read(self, status, error):
        announced = says(http(status, b"x" * 10_000_000), keep=False)
        endless = repeats(http(status, b"", length=-1, Transfer_Encoding="chunked"), b"400\r\n%s\r\n" % (b"x" * 1024))
        for script in (announced, endless):
            with wire(script) as server:
                assert sent(message(server.url)) == Answer(status, error)

    def test_of_up_to_a_kibibyte_are_read(self):
        with wire(says(http(200, b"x" * MAX_ANSWER_BYTES))) as server:
            (ended,) = (e for e in webhook_requests(HERE).exchange([(0, message(server.url))]) if e)

        assert ended[1] == Reply(200, "application/json", b"x" * MAX_ANSWER_BYTES)

    @pytest.mark.parametrize(
        ("script", "status"),
        [(hangs, None), (drips(http(length=100, body=b"x" * 100)), None), (drips(http(), at_once=60), 200)],
        ids=["silence", "drip of headers", "drip of body"],
    )
    def test_that_take_too_long_are_failures(self, script, status):
        with wire(script) as server:
            started = time.monotonic()
            found = sent(message(server.url))

        assert found == Answer(status, TIMED_OUT)
        assert time.monotonic() - started < SECONDS + SLACK

    def test_that_are_broken_off_are_failures(self):
        with wire(says(http(length=100, body=b"x"), keep=False)) as server:
            assert sent(message(server.url)) == Answer(200, CUT_OFF)

    def test_too_long_before_there_is_a_status_are_failures(self):
        assert answer(TransportError(TOO_LARGE)) == Answer(None, TOO_LARGE)

    def test_bring_no_cookies_along_the_next_time(self):
        with wire(says(http(200, b"", Set_Cookie="a=b; Path=/"))) as server:
            requests = webhook_requests(HERE)
            assert len([e for e in requests.exchange([(n, message(server.url)) for n in range(3)]) if e]) == 3

        assert [heard for heard in server.heard if "Cookie" in heard.headers] == []


class TestTheWay:
    def test_ends_within_ten_seconds_and_a_kibibyte(self):
        requests = webhook_requests(HERE)

        assert (requests.concurrency, requests.seconds, requests.max_bytes) == (16, 10.0, 1024)

    @pytest.mark.usefixtures("proxies_everywhere")
    def test_leads_through_no_proxy(self):
        with wire(says(http())) as server:
            assert sent(message(server.url)) == Answer(200, None)

    def test_leads_to_no_host_whose_certificate_nobody_trusts(self):
        with canary(trustme.CA().issue_cert("127.0.0.1")) as server:
            assert sent(message(f"https://127.0.0.1:{server.port}/")) == Answer(None, UNREACHABLE)

        assert (server.connections, server.heard) == (1, b"")

    def test_carries_what_is_signed_byte_by_byte(self):
        with wire(says(http())) as server:
            sent(message(f"{server.url}/hook?a=b"))

        (heard,) = server.heard
        assert heard.line == "POST /hook?a=b HTTP/1.1"
        assert heard.body == BODY
        assert Webhook(SECRET).verify(heard.body, heard.headers) == json.loads(BODY)
        assert heard.headers["Content-Type"] == "application/json"
        assert heard.headers["User-Agent"] == "product-aggregator"


@dataclass
class Canary:
    """Listens at a port of every address of this host, and notes who comes."""

    port: int
    connections: int = 0
    heard: bytes = b""


@contextlib.contextmanager
def canary(certificate: trustme.LeafCert | None = None) -> Iterator[Canary]:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        found = Canary(listener.getsockname()[1])
        thread = threading.Thread(target=_listen, args=(listener, found, certificate), daemon=True)
        thread.start()
        yield found
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _listen(listener: socket.socket, canary: Canary, certificate: trustme.LeafCert | None) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate:
        certificate.configure_cert(tls)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        canary.connections += 1
        with connection:
            connection.settimeout(1)
            with contextlib.suppress(OSError):
                if certificate:
                    with tls.wrap_socket(connection, server_side=True) as conversation:
                        canary.heard += conversation.recv(100)


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Tells libcurl what names resolve to, in its own words: name:port:address,address."""
    entries: list[str] = []

    def curl() -> pycurl.Curl:
        handle = real()
        handle.setopt(pycurl.RESOLVE, entries)
        return handle

    real = pycurl.Curl
    monkeypatch.setattr(many.pycurl, "Curl", curl)
    return entries.append


def at_port(url: str, port: int) -> str:
    """The URL with another port, whatever else is wrong with it."""
    head, _, rest = url.removeprefix("https://").partition("/")
    return f"https://{head}:{port}/{rest}"


TRICKS = [
    url for urls in REFUSED.values() for url in urls if url.startswith("https://") and url.isascii() and "\0" not in url
]
LOOPBACK = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0", "[::1]", "[::]"]
LOOPBACK += ["[::ffff:127.0.0.1]", "localhost", "%31%32%37.0.0.1"]


class TestAddresses:
    """What is refused when a webhook is made is refused once more here, by the address that is connected to."""

    def guarded(self, urls: list[str], rules: AddressRules) -> dict[str, str]:
        requests: ManyRequests = webhook_requests(rules)
        requests.seconds = 0.5
        ended = requests.exchange([(url, Request("POST", url, (), b"{}")) for url in urls])
        return {key: answer(result).error or "arrived" for key, result in (e for e in ended if e is not None)}

    def test_of_this_host_are_reached_by_each_of_these_names_if_nobody_looks(self):
        with canary() as server:
            urls = [f"https://{host}:{server.port}/" for host in LOOPBACK]
            unguarded = ManyRequests(16, 1.0, 1024)
            list(unguarded.exchange([(url, Request("POST", url, (), b"{}")) for url in urls]))

            assert server.connections >= len(urls)

    def test_of_this_host_are_never_reached(self):
        with canary() as server:
            urls = [f"https://{host}:{server.port}/" for host in LOOPBACK]
            found = self.guarded(urls, AddressRules((server.port,)))

            assert found == dict.fromkeys(urls, FORBIDDEN)
            assert server.connections == 0

    def test_by_any_trick_are_never_reached(self, resolving):
        with canary() as server:
            resolving(f"*:{server.port}:127.0.0.1")  # so is every name that there is
            urls = [at_port(url, server.port) for url in TRICKS]
            found = self.guarded(urls, AddressRules((server.port,)))

            assert len(found) > 80
            assert set(found.values()) == {FORBIDDEN, UNREACHABLE}  # the latter where libcurl finds no host in it
            assert server.connections == 0

    @pytest.mark.parametrize(
        "addresses", ["127.0.0.1", "::1", "10.0.0.1,127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254"]
    )
    def test_that_a_good_name_turns_out_to_have_are_never_reached(self, resolving, addresses):
        with canary() as server:
            resolving(f"rebinding.example.com:{server.port}:{addresses}")
            url = f"https://rebinding.example.com:{server.port}/"
            rules = AddressRules((server.port,))

            assert rules.checked(url) == url  # nothing is wrong with the name itself
            assert self.guarded([url], rules) == {url: FORBIDDEN}
            assert server.connections == 0

    def test_that_a_good_name_has_are_reached(self, resolving):
        with canary() as server:
            resolving(f"hooks.example.com:{server.port}:127.0.0.1")
            url = f"https://hooks.example.com:{server.port}/"

            assert self.guarded([url], AddressRules(test_hosts=("hooks.example.com",))) != {url: FORBIDDEN}
            assert server.connections == 1

    def test_of_other_kinds_than_the_internets_are_refused(self):
        for url in ("file:///etc/passwd", "ftp://8.8.8.8/", "gopher://8.8.8.8/", "ldap://8.8.8.8/"):
            assert self.guarded([url], HERE) == {url: UNREACHABLE}
            with pytest.raises(ValueError, match=f"^({NOT_A_URL}|Must begin with https://.)$"):
                HERE.checked(url)
