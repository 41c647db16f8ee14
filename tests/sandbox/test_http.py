"""HTTP as the sandbox speaks it, whatever the call."""

import http.client
import io
import socket
import threading
from contextlib import redirect_stderr

import pytest
import requests


class TestHttp:
    def test_many_requests_share_a_connection(self, client, product_id):
        connection = http.client.HTTPConnection("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]), timeout=5)
        connection.connect()
        sock = connection.sock
        for _ in range(3):
            connection.request("GET", f"/api/v1/products/{product_id}/offers", headers=client.headers)
            assert connection.getresponse().read()
            assert connection.sock is sock
        connection.close()

    def test_many_clients_are_served_at_once(self, start):
        client = start(latency_ms=100)
        threads = [threading.Thread(target=requests.get, args=(client.sandbox.url,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=1)

        assert len(client.sandbox.calls) == 20

    @pytest.mark.parametrize(
        ("words", "status"),
        [
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
            (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
            (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", b"431"),
            (b"GET / HTTP/1.0\r\n\r\n", b"404"),
            (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        ],
    )
    def test_the_connection_is_closed_after_the_answer(self, client, words, status):
        with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2])), timeout=5) as sock:
            sock.sendall(words)
            answer = b"".join(iter(lambda: sock.recv(65536), b""))

        assert answer.split()[1] == status
        assert b"Connection: close\r\n" in answer

    def test_head_has_no_body(self, client):
        assert requests.head(f"{client.sandbox.url}/api/v1/auth", timeout=5).status_code == 405

    def test_a_client_that_goes_away_leaves_no_traceback(self, client, product_id):
        client.sandbox.faults = ["endless=5"]
        words = f"GET /api/v1/products/{product_id}/offers HTTP/1.1\r\nBearer: {client.token}\r\n\r\n"
        before = set(threading.enumerate())
        with redirect_stderr(io.StringIO()) as shown:
            with socket.create_connection(("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]))) as sock:
                sock.sendall(words.encode())
                sock.recv(1)
            for thread in set(threading.enumerate()) - before:
                thread.join(timeout=2)

        assert shown.getvalue() == ""

    def test_requests_are_written_down_only_when_asked_for(self, start):
        with redirect_stderr(io.StringIO()) as shown:
            start().auth()
            assert shown.getvalue() == ""
            start(verbose=True).auth()

        assert shown.getvalue().startswith("POST /api/v1/auth 422 ")
