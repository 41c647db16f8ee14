"""The sandbox as a library: what a test can see of it and do to it."""

import ast
import http.client
import socket
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from aggregator.sandbox import Call, Registration, Sandbox

PACKAGE = Path(sys.modules[Sandbox.__module__].__file__).parent


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("*.py")), ids=lambda module: module.name)
def test_the_package_imports_nothing_of_ours_and_only_the_standard_library(module):
    nodes = list(ast.walk(ast.parse(module.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    foreign = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}

    assert all(name == "aggregator.sandbox" or name.startswith("aggregator.sandbox.") for name in foreign)


class TestWhatItRemembers:
    def test_calls_are_noted_in_order_with_their_status(self, client, clock):
        product_id = client.register().json()["id"]
        client.session.headers["X-Request-ID"] = "abc"
        client.offers(product_id)

        path = f"/api/v1/products/{product_id}/offers"
        assert [call.status for call in client.sandbox.calls] == [201, 201, 200]
        assert client.sandbox.calls[1].product_id == product_id
        assert client.sandbox.calls[-1] == Call("GET", path, 200, product_id, "abc", clock.now)

    def test_a_call_tells_the_fault_that_hit_it(self, client):
        client.sandbox.faults = ["500"]
        client.register()

        assert client.sandbox.calls[-1].fault == "500"

    def test_a_long_running_one_need_not_keep_the_calls(self, start):
        client = start(record=False).sign_in()

        assert client.sandbox.calls == []

    def test_registered_tells_what_it_knows(self, client):
        product_id = client.register(name="Lamp", description="Bright").json()["id"]

        assert client.sandbox.registered == {product_id: Registration(product_id, "Lamp", "Bright")}

    def test_foreign_products_are_not_among_them(self, client):
        client.sandbox.add_foreign_product(str(uuid4()))

        assert client.sandbox.registered == {}


class TestTime:
    def test_the_market_moves_with_the_clock(self, client, clock, product_id):
        before = client.offers(product_id).json()

        clock.now += 60

        assert client.offers(product_id).json() != before

    def test_a_tick_can_have_any_length(self, start, clock):
        client = start(tick=0.5)
        number = client.sandbox.tick_number()

        clock.now += 1

        assert client.sandbox.tick_number() == number + 2

    def test_within_a_tick_nothing_changes(self, client, clock, product_id):
        clock.now -= clock.now % 60
        before = client.offers(product_id).json()

        clock.now += 59

        assert client.offers(product_id).json() == before

    def test_the_market_can_be_sent_ahead(self, client, clock, product_id):
        client.sandbox.advance(3)
        ahead = client.offers(product_id).json()
        client.sandbox.advance(-3)
        clock.now += 180

        assert client.offers(product_id).json() == ahead

    def test_another_sandbox_goes_on_with_the_same_market(self, client, start, product_id):
        same, other = start().sign_in(), start(seed=1).sign_in()
        for another in (same, other):
            another.register(product_id)

        assert same.sandbox.offers_of(product_id) == client.sandbox.offers_of(product_id)
        assert other.sandbox.offers_of(product_id) != client.sandbox.offers_of(product_id)

    def test_latency_delays_an_answer(self, start):
        client = start(latency_ms=50)

        assert client.auth().elapsed.total_seconds() >= 0.05


class TestForgetting:
    @pytest.mark.parametrize("how", ["forget_token", "expire_token"])
    def test_a_token_ends_before_its_time_and_another_can_be_had(self, client, product_id, how):
        getattr(client.sandbox, how)()

        assert client.offers(product_id).status_code == 401
        assert client.sign_in().offers(product_id).status_code == 200

    def test_a_forgotten_product_is_a_404_until_it_is_registered_again(self, client, product_id):
        client.sandbox.forget_product(product_id)

        assert client.offers(product_id).status_code == 404
        assert client.register(product_id).status_code == 201


class TestOutage:
    def test_a_stopped_sandbox_refuses_connections(self, client):
        client.sandbox.stop()

        with pytest.raises(requests.ConnectionError):
            client.auth()

    def test_it_ends_the_connections_there_are(self, client):
        connection = http.client.HTTPConnection("127.0.0.1", int(client.sandbox.url.rpartition(":")[2]), timeout=5)
        connection.request("GET", "/")
        connection.getresponse().read()
        client.sandbox.stop()

        assert connection.sock.recv(1) == b""
        connection.close()

    def test_it_comes_back_on_the_same_port_and_knows_everything(self, client, product_id):
        url, before = client.sandbox.url, client.offers(product_id).json()

        client.sandbox.stop()
        client.sandbox.start()

        assert client.sandbox.url == url
        assert client.offers(product_id).json() == before

    def test_nobody_gets_the_port_during_the_outage(self, start):
        sandbox = start().sandbox
        sandbox.stop()

        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", int(sandbox.url.rpartition(":")[2])))

    def test_a_restart_can_forget_products_and_token_as_a_new_process_would(self, client, product_id):
        client.sandbox.restart(forget=True)

        assert client.sandbox.registered == {}
        assert client.offers(product_id).status_code == 401
        assert client.sign_in().offers(product_id).status_code == 404

    def test_stopping_and_starting_twice_is_nothing_special(self, client):
        client.sandbox.start()
        client.sandbox.stop()
        client.sandbox.stop()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"generation": "v3"}, "There is no generation 'v3': choose v1 or v2."),
        ({"tick": 0}, "A tick must be longer than 0 seconds."),
        ({"token_ttl": -1}, "Neither the latency nor a token's time to live can be negative."),
        ({"port": 70000}, "A port is a number from 0 to 65535."),
    ],
)
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as raised:
        Sandbox(**options)

    assert sentence in str(raised.value)


def test_a_with_block_starts_and_stops_it():
    with Sandbox(faults="500@auth") as sandbox:
        assert requests.post(f"{sandbox.url}/api/v1/auth", timeout=5).status_code == 500

    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.url, timeout=5)
