"""Each fault as it goes over the wire."""

import json
import socket
import time
from uuid import uuid4

import pytest
import requests


def raw_answer(client, product_id) -> bytes:
    """All bytes that come back, until the sandbox closes."""
    with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2])), timeout=5) as sock:
        path = f"/api/v1/products/{product_id}/offers"
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nBearer: {client.token}\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b""))


class TestInPlaceOfTheService:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504])
    def test_answers_with_the_status(self, client, product_id, status):
        client.sandbox.faults = [str(status)]

        assert client.offers(product_id).status_code == status
        assert client.register().status_code == status

    def test_the_service_learns_nothing_of_the_call(self, client):
        client.sandbox.faults = ["500"]

        client.register()

        assert client.sandbox.registered == {}

    def test_500_is_plain_text(self, client, product_id):
        client.sandbox.faults = ["500"]

        response = client.offers(product_id)

        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.text == "Internal Server Error"

    @pytest.mark.parametrize(
        ("spec", "retry_after"),
        [("429", "5"), ("429=120", "120"), ("429=abc", "abc"), ("503=9", "9"), ("503", None), ("500", None)],
    )
    def test_says_when_to_come_back(self, client, product_id, spec, retry_after):
        client.sandbox.faults = [spec]

        assert client.offers(product_id).headers.get("Retry-After") == retry_after

    def test_html_is_a_page_with_status_200(self, client, product_id):
        client.sandbox.faults = ["html"]

        response = client.offers(product_id)

        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.text.startswith("<!DOCTYPE html>")

    @pytest.mark.parametrize(
        ("spec", "location"),
        [
            ("redirect", "http://offers.elsewhere.invalid/api/v1"),
            ("redirect=http://127.0.0.1:9/x", "http://127.0.0.1:9/x"),
        ],
    )
    def test_redirect_points_elsewhere(self, client, product_id, spec, location):
        client.sandbox.faults = [spec]

        response = client.offers(product_id)

        assert response.status_code == 302
        assert response.headers["Location"] == location

    def test_auth_fails_only_when_named(self, start):
        client = start(faults=["500"])
        assert client.auth(Bearer=client.sandbox.refresh_token).status_code == 201

        client.sandbox.faults = ["500@auth"]
        assert client.auth(Bearer=client.sandbox.refresh_token).status_code == 500

    def test_only_the_share_of_products_is_hit(self, client):
        ids = [client.register().json()["id"] for _ in range(40)]
        client.sandbox.faults = ["500:0.5@offers"]

        first = [client.offers(product_id).status_code for product_id in ids]

        assert set(first) == {200, 500}
        assert first == [client.offers(product_id).status_code for product_id in ids]

    def test_faults_end_when_they_are_taken_away(self, client, product_id):
        client.sandbox.faults = ["500"]
        client.sandbox.faults = []

        assert client.offers(product_id).status_code == 200


class TestOnTheWire:
    def test_timeout_never_answers(self, client, product_id):
        client.sandbox.faults = ["timeout"]
        url = f"{client.sandbox.url}/api/v1/products/{product_id}/offers"

        with pytest.raises(requests.ReadTimeout):
            requests.get(url, headers=client.headers, timeout=0.05)

        assert client.sandbox.calls[-1].status == 0

    def test_timeout_comes_to_an_end_of_its_own(self, client, product_id):
        client.sandbox.faults = ["timeout=0.05"]

        assert raw_answer(client, product_id) == b""

    def test_timeout_ends_when_the_sandbox_stops(self, client, product_id):
        client.sandbox.faults = ["timeout"]
        with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2])), timeout=5) as sock:
            sock.sendall(f"GET /api/v1/products/{product_id}/offers HTTP/1.1\r\n\r\n".encode())
            while len(client.sandbox.calls) < 3:
                time.sleep(0.005)
            client.sandbox.stop()

            assert sock.recv(1) == b""

    @pytest.mark.parametrize("kind", ["timeout=0.01", "drop", "reset", "broken-json", "drip=0"])
    def test_the_service_has_done_its_work_when_its_answer_is_lost(self, client, kind):
        product_id = str(uuid4())
        client.sandbox.faults = [f"{kind}@register"]
        try:
            client.register(product_id)
        except requests.RequestException:
            client.sandbox.faults = []

        assert list(client.sandbox.registered) == [product_id]
        client.sandbox.faults = []
        assert client.register(product_id).status_code == 409

    def test_an_auth_answer_that_is_lost_leaves_a_valid_token_behind(self, start):
        client = start(faults=["drop@auth"])
        with pytest.raises(requests.RequestException):
            client.auth(Bearer=client.sandbox.refresh_token)
        client.sandbox.faults = []

        assert client.auth(Bearer=client.sandbox.refresh_token).status_code == 400

    def test_drop_closes_in_the_middle_of_the_body(self, client, product_id):
        client.sandbox.faults = ["drop"]

        head, _, body = raw_answer(client, product_id).partition(b"\r\n\r\n")

        promised = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(body) == promised // 2

    def test_informational_announces_the_answer_and_then_gives_it(self, client, product_id):
        client.sandbox.faults = ["informational=103,102"]

        first, second, final, body = raw_answer(client, product_id).split(b"\r\n\r\n")

        assert first.splitlines()[0] == b"HTTP/1.1 103 Early Hints"
        assert second.splitlines()[0] == b"HTTP/1.1 102 Processing"
        assert final.splitlines()[0] == b"HTTP/1.1 200 OK"
        assert json.loads(body) == client.sandbox.offers_of(product_id)

    def test_reset_resets(self, client, product_id):
        client.sandbox.faults = ["reset"]

        with pytest.raises(ConnectionResetError):
            raw_answer(client, product_id)

    @pytest.mark.parametrize("kind", ["drip=0.0001", "drip-headers=0.0001"])
    def test_a_drip_arrives_whole_in_the_end(self, client, product_id, kind):
        client.sandbox.faults = [kind]

        body = raw_answer(client, product_id).partition(b"\r\n\r\n")[2]

        assert json.loads(body) == client.sandbox.offers_of(product_id)

    def test_drip_sends_the_body_byte_by_byte(self, client, product_id):
        client.sandbox.faults = ["drip=0.03"]
        url = f"{client.sandbox.url}/api/v1/products/{product_id}/offers"

        with requests.get(url, headers=client.headers, timeout=1, stream=True) as response:
            started = time.monotonic()
            assert response.raw.read(5) == json.dumps(client.sandbox.offers_of(product_id)).encode()[:5]

        assert time.monotonic() - started > 0.05

    def test_drip_headers_does_not_even_get_to_the_status(self, client, product_id):
        client.sandbox.faults = ["drip-headers=0.03"]
        with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2])), timeout=5) as sock:
            path = f"/api/v1/products/{product_id}/offers"
            sock.sendall(f"GET {path} HTTP/1.1\r\nBearer: {client.token}\r\n\r\n".encode())

            assert sock.recv(100) == b"H"

    def test_endless_goes_on_and_on(self, client, product_id):
        client.sandbox.faults = ["endless=0.1"]

        assert len(raw_answer(client, product_id)) > 100_000
