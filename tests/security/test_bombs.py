"""Requests that are made to hurt: each gets a 4xx in less than a second, unless it is said here why it does not."""

import io
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import Any, cast
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.auth import ANONYMOUS_BODY_BYTES
from tests.scenarios.processes import answers, environment, eventually, web
from tests.security.bombs import (
    ADDRESSES,
    CONTENT_TYPES,
    CURSORS,
    FIELDS,
    HARMLESS_BODIES,
    HEADER_VALUES,
    IGNORED_HEADERS,
    LONG,
    MIB,
    NAMES,
    NOT_FIELDS,
    NOT_JSON,
    QUERIES,
    RAW_REQUESTS,
    UNKNOWN_PARAMETERS,
    WORDS_FOR_MOMENTS,
    Body,
    as_json,
    cursor_of,
    with_first,
)
from tests.security.operations import Call, Operation, kind, operations, with_body
from tests.security.world import World, admins_world

SECONDS = 1.0
TRIES = 3
CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
JSON = "application/json"


@pytest.fixture
def app(make_app) -> Flask:
    """The app without limits on trying: what is refused here is refused for what it is."""
    return make_app(logins_per_address=10**6, logins_per_account=10**6, registrations_per_address=10**6)


class _Timed(FlaskClient):
    """A client that knows how long the last answer took."""

    took = 0.0

    def open(self, *args: Any, **options: Any) -> TestResponse:
        begun = time.perf_counter()
        try:
            return super().open(*args, **options)
        finally:
            self.took = time.perf_counter() - begun


class Bombing:
    """Sends requests as an admin, and keeps what they came to: the status, or that it took too long."""

    def __init__(self, app: Flask, world: World | None = None) -> None:
        app.test_client_class = _Timed
        self._client = cast(_Timed, app.test_client())
        self.world = world or admins_world(app)
        self._tokens: dict[str, str] = {}
        self.found: dict[str, set[Any]] = {}

    def drop(self, name: str, call: Call, **options: Any) -> TestResponse:
        """The answer to a call with these options."""
        answer = self._send(call, **options)
        for _ in range(TRIES - 1):  # somebody else may have had the processor: then it is timed again
            if self._client.took >= SECONDS:
                self._send(call, **options)
        came_to = answer.status_code if self._client.took < SECONDS else f"{self._client.took:.1f} s"
        self.found.setdefault(name, set()).add(came_to)
        return answer

    def _send(self, call: Call, **options: Any) -> TestResponse:
        answer = call.send(self._client, self._token(call.operation), **options)
        if answer.status_code < 400 and call.operation.method != "GET":
            self._tokens = {}  # that may have ended the sign-in
        return answer

    def _token(self, operation: Operation) -> str:
        self._tokens = self._tokens or self.world.tokens(self.world.admin)
        return self._tokens["refresh_token" if operation.id == "refresh_tokens" else "access_token"]

    def other_than(self, *allowed: int) -> dict[str, set[Any]]:
        """What came of those that came to something else."""
        assert self.found
        return {name: others for name, came in self.found.items() if (others := came - set(allowed))}


def faulted(answer: TestResponse, place: str) -> list[str]:
    """The fields that a 422 says are wrong; of anything else, its status."""
    return list(answer.json["errors"][place]) if answer.status_code == 422 else [str(answer.status_code)]


class TestBodies:
    def _drop(self, app, bodies: Mapping[str, Callable[[Body], bytes]], content_type: str = JSON) -> Bombing:
        bombing = Bombing(app)
        for operation in with_body(app):
            for name, make in bodies.items():
                call = bombing.world.call(operation)
                data = make(call.body)
                answer = bombing.drop(name, call, data=data, content_type=content_type)
                if not operation.needs_token and len(data) > ANONYMOUS_BODY_BYTES and answer.status_code == 413:
                    bombing.found[name].discard(413)  # it is not even looked at
        return bombing

    def test_what_is_no_json_is_a_400(self, app):
        assert self._drop(app, NOT_JSON).other_than(400) == {}

    def test_what_is_no_object_of_known_fields_is_a_422(self, app):
        assert self._drop(app, NOT_FIELDS).other_than(422) == {}

    def test_what_is_not_called_json_is_a_415(self, app):
        bombing = Bombing(app)

        for operation in with_body(app):
            for name, content_type in CONTENT_TYPES.items():
                call = bombing.world.call(operation)
                bombing.drop(name, call, data=as_json(call.body), content_type=content_type)

        assert bombing.other_than(415) == {}

    def test_ten_thousand_parts_are_not_even_read(self, app):
        part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
        found = self._drop(app, {"parts": lambda body: part * 10_000}, "multipart/form-data; boundary=x")

        assert found.other_than(415) == {}

    def test_what_is_only_written_oddly_is_read_in_no_time(self, app):
        for name, make in HARMLESS_BODIES.items():
            assert self._drop(app, {name: make}).other_than(200, 201, 204) == {}

    def test_other_names_of_json_change_nothing(self, app):
        for content_type in ("application/problem+json", f"{JSON}; a={LONG}"):
            assert self._drop(app, {content_type: as_json}, content_type).other_than(200, 201, 204) == {}

    def test_json_that_is_called_something_other_than_utf_8_is_a_415(self, app):
        content_type = f"{JSON}; charset=utf-16"

        assert self._drop(app, {content_type: as_json}, content_type).other_than(415) == {}


class _Endless(io.RawIOBase):
    """A body without an end, and how much of it was read."""

    def __init__(self) -> None:
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b" " * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


class TestLargeBodies:
    def _drop(self, bombing: Bombing, call: Call, stream: io.IOBase, **environ: Any) -> None:
        environ = {"wsgi.input": stream, "CONTENT_TYPE": JSON, **environ}
        bombing.drop("large", call, data=b"", environ_overrides=environ)

    def test_ten_megabytes_are_a_413_and_are_not_read(self, app):
        bombing = Bombing(app)

        for operation in with_body(app):
            stream = _Endless()
            self._drop(bombing, bombing.world.call(operation), stream, CONTENT_LENGTH=str(10 * MIB))
            assert stream.taken == 0

        assert bombing.other_than(413) == {}

    def test_chunks_without_an_end_are_a_4xx_and_soon_read_no_more(self, app):
        bombing = Bombing(app)

        for operation in with_body(app):
            stream = _Endless()
            self._drop(bombing, bombing.world.call(operation), stream, **CHUNKED)
            assert 0 < stream.taken <= 2 * MIB

        assert bombing.other_than(400, 413) == {}

    def test_ten_megabytes_in_chunks_are_a_413_even_where_they_begin_well(self, app):
        bombing = Bombing(app)

        for operation in with_body(app):
            call = bombing.world.call(operation)
            self._drop(bombing, call, io.BytesIO(as_json(call.body) + b" " * 10 * MIB), **CHUNKED)

        assert bombing.other_than(413) == {}

    def test_a_length_that_is_not_true_is_a_4xx(self, app):
        for length, status in {"-1": 400, "x": 400, "1e3": 400, "99": 400, "9" * 30: 413}.items():
            bombing = Bombing(app)
            for operation in with_body(app):
                self._drop(bombing, bombing.world.call(operation), io.BytesIO(b'{"a":'), CONTENT_LENGTH=length)
            assert bombing.other_than(status) == {}, length

    def test_nobody_reads_what_nobody_asked_for(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if operation.body is None and not operation.files and not operation.text:
                stream, world = _Endless(), bombing.world
                if operation.method != "GET":  # what another call has used up or changed is not there for this one
                    world = admins_world(app, world.admin)
                self._drop(bombing, world.call(operation), stream, **CHUNKED)
                assert stream.taken == 0

        assert bombing.other_than(200, 202, 204) == {}


@pytest.mark.parametrize("kind_of_field", FIELDS)
def test_a_field_of_another_kind_or_size_is_a_422_that_names_it(app, kind_of_field):
    bombing = Bombing(app)

    for operation in with_body(app):
        for name, schema in operation.body.items():
            for bomb, raw in FIELDS[kind_of_field].items() if kind(schema) == kind_of_field else ():
                if raw == "null" and "null" in schema["type"]:
                    continue  # no value is a value here
                call = bombing.world.call(operation)
                others = {other: value for other, value in call.body.items() if other != name}
                data = with_first({name: 0} | others, raw)
                answer = bombing.drop(bomb, call, data=data, content_type=JSON)
                too_large = not operation.needs_token and len(data) > ANONYMOUS_BODY_BYTES
                assert faulted(answer, "json") == (["413"] if too_large else [name]), (operation.id, bomb)

    assert bombing.other_than(422, 413) == {}


class TestNames:
    @pytest.mark.parametrize(("field", "texts"), [("username", NAMES), ("email", ADDRESSES)])
    def test_that_will_not_do_are_refused_as_fast_as_others(self, app, field, texts):
        bombing = Bombing(app)

        for operation in with_body(app):
            if field in operation.body and operation.id != "login":
                for text in texts:
                    call = bombing.world.call(operation)
                    answer = bombing.drop(text, call, json=call.body | {field: text})
                    assert faulted(answer, "json") == [field], text

        assert bombing.other_than(422) == {}

    def test_that_nobody_has_are_wrong_names_at_the_login(self, app):
        bombing = Bombing(app)
        (login,) = (operation for operation in with_body(app) if operation.id == "login")

        for text in NAMES + ADDRESSES:
            bombing.drop(text, bombing.world.call(login), json={"username": text, "password": "x" * 128})

        assert bombing.other_than(401) == {}


def parameter_kind(name: str, schema: Mapping[str, Any]) -> str:
    if "number" in schema["type"]:
        return "decimal"
    return name if name in ("sort", "cursor") else kind(schema)


class TestQueries:
    def _drop(self, bombing: Bombing, name: str, operation: Operation, query: str) -> TestResponse:
        return bombing.drop(name, replace(bombing.world.call(operation), query={}), query_string=query)

    @pytest.mark.parametrize("kind_of_parameter", [*QUERIES, "cursor"])
    def test_a_value_of_another_kind_or_size_is_a_422_that_names_it(self, app, kind_of_parameter):
        bombing = Bombing(app)

        for operation in operations(app):
            for name, schema in operation.query.items():
                if parameter_kind(name, schema) == kind_of_parameter:
                    for bomb, value in (QUERIES | {"cursor": CURSORS})[kind_of_parameter].items():
                        answer = self._drop(bombing, bomb, operation, f"{name}={value}")
                        assert faulted(answer, "query") == [name], (operation.id, bomb)

        assert bombing.other_than(422) == {}

    def test_a_cursor_of_any_text_goes_on_from_there_or_is_a_422(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if "cursor" in operation.query:
                for text in WORDS_FOR_MOMENTS:
                    self._drop(bombing, text, operation, f"cursor={cursor_of(text)}")

        assert bombing.other_than(200, 422) == {}

    def test_of_a_parameter_that_comes_two_thousand_times_the_first_counts(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if "page" in operation.query:
                self._drop(bombing, "good", operation, "page=1" + "&page=x" * 2_000)
                self._drop(bombing, "bad", operation, "page=x" + "&page=1" * 2_000)

        assert bombing.found == {"good": {200}, "bad": {422}}

    def test_parameters_that_nobody_knows_are_a_422_and_are_not_read_where_none_are(self, app):
        lists, others = Bombing(app), Bombing(app)

        for operation in operations(app):
            for name, query in UNKNOWN_PARAMETERS.items():
                if operation.query:
                    self._drop(lists, name, operation, query)
                elif operation.method == "GET":
                    self._drop(others, name, operation, query)

        assert lists.other_than(422) == {}
        assert others.other_than(200) == {}

    def test_what_is_searched_for_may_be_any_text(self, app):
        bombing = Bombing(app)
        texts = ["%ff", "%ED%A0%80", "%25" * 100, "_" * 100, "%5C" * 100, "'%20OR%201=1--", "%F0%9F%92%A3" * 100]

        for operation in operations(app):
            if "q" in operation.query:
                for text in texts:
                    self._drop(bombing, text, operation, f"q={text}")

        assert bombing.other_than(200) == {}

    def test_the_last_page_that_may_be_asked_for_is_an_empty_one(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if "page" in operation.query:
                answer = self._drop(bombing, operation.id, operation, "page=100000&page_size=100")
                assert answer.json == []

        assert bombing.other_than(200) == {}


class TestHeaders:
    def test_that_are_read_are_a_422_where_they_are_too_long_or_hold_what_cannot_be_stored(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            for header in operation.headers:
                for name, value in {"50 KB": LONG, "NUL": "a\0b", "a little too long": "x" * 300}.items():
                    answer = bombing.drop(name, bombing.world.call(operation), headers={header: value})
                    assert faulted(answer, "headers") == [header]

        assert bombing.other_than(422) == {}

    def test_that_are_not_read_or_only_compared_harm_nobody(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if operation.method == "GET":
                for name, value in HEADER_VALUES.items():
                    headers = dict.fromkeys((*IGNORED_HEADERS, "If-None-Match"), value)
                    answer = bombing.drop(name, bombing.world.call(operation), headers=headers)
                    assert UUID(answer.headers["X-Request-ID"])
            else:
                headers = dict(zip(IGNORED_HEADERS, cycle(HEADER_VALUES.values()), strict=False))
                others = Bombing(app)  # nobody has more than ten webhooks
                others.drop("all", others.world.call(operation), headers=headers)
                assert others.other_than(200, 201, 202, 204) == {}, operation.id

        assert bombing.other_than(200) == {}

    def test_of_a_token_are_a_401_where_one_is_needed(self, app):
        bombing = Bombing(app)

        for operation in operations(app):
            if operation.needs_token:
                for name, value in HEADER_VALUES.items():
                    call = bombing.world.call(operation)
                    bombing.drop(name, call, headers={"Authorization": f"Bearer {value}"})
                    bombing.drop(name, call, headers={"Authorization": value})

        assert bombing.other_than(401) == {}


class TestOverTheWire:
    """What gunicorn answers itself, before the app is asked, and what comes to the app through it."""

    @pytest.fixture
    def backend(self) -> str:
        return "sqlite"  # nothing of it gets as far as the database

    def test_every_request_that_is_not_one_is_a_4xx_in_no_time_and_the_next_one_is_served(
        self, database_url, sandbox, tmp_path
    ):
        came_to = {}
        with web(environment(database_url, sandbox.url), tmp_path / "web.log") as site:
            eventually(lambda: answers(site.url))
            for name, raw in RAW_REQUESTS.items():
                came_to[name] = _status(site.url, raw)
                assert answers(site.url), name

        assert {name: came for name, came in came_to.items() if came not in (400, 411, 413, 414, 431, 501, 505)} == {}


def _status(url: str, raw: bytes) -> Any:
    """The status of the answer to raw bytes, or what came instead."""
    came: Any = None
    for _ in range(TRIES):
        begun = time.perf_counter()
        came = _came(url, raw)
        if (took := time.perf_counter() - begun) < SECONDS:
            return came
    return f"{came} after {took:.1f} s"


def _came(url: str, raw: bytes) -> Any:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10 * SECONDS) as connection:
        with suppress(OSError):  # the answer may come, and the connection go, while there is more to send
            connection.sendall(raw)
        try:
            return int(connection.recv(65_536).split(b" ")[1])
        except (OSError, IndexError) as error:
            return repr(error)
