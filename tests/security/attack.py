"""Schemathesis against a running API: every operation, every phase and every check, as whoever may be calling."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import requests
import schemathesis
from flask import Flask
from schemathesis import AuthContext, Case, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import StopReason, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.wfc.escalation import EscalatingAuthProvider

from aggregator.models import Role, User
from aggregator.operations import MAY_CALL, Who
from aggregator.services.passwords import hashed
from tests.builders import LONG_AGO, bearer, edit, make_offer, make_product, make_user, sign_in
from tests.security.belongings import Belongings
from tests.security.excuses import excuse, operation_of

SECONDS = 10.0  # no answer may take longer
# What the document has for examples; it is taken after the first time, and then something like it is not.
ADA, PASSWORD = "ada.lovelace", "a lamp at the window"
FRESH = {"Oak chair": "Oak chair {}", ADA: f"{ADA}-{{}}", "ada@example.com": "ada-{}@example.com"}
CALLERS = {"anonymous": {Who.EVERYBODY}, "customer": set(Who) - {Who.ADMIN}, "admin": set(Who)}
# Who attacks has its word for who they are: they make tokens of their own, and nobody counts how often they try.
SETTINGS = {"jwt_secret_key": "as the processes under attack have it", "access_token_seconds": 86_400}
OFTEN = dict.fromkeys(("LOGINS_PER_ADDRESS", "LOGINS_PER_ACCOUNT", "REGISTRATIONS_PER_ADDRESS"), "1000000")
ENVIRONMENT = {name.upper(): str(value) for name, value in SETTINGS.items()} | OFTEN

_numbers = count(1)


@dataclass
class Findings:
    """What an attack has found out."""

    documented: set[str] = field(default_factory=set)  # the operations there are
    failures: dict[tuple[str, str, str, int], str] = field(default_factory=dict)  # of each kind one to be repeated
    errors: list[str] = field(default_factory=list)  # what kept schemathesis itself from its work
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # by operation and status
    excused: Counter[str] = field(default_factory=Counter)

    @property
    def served(self) -> set[str]:
        """The operations that have done what they are there for."""
        return {operation for operation, status in self.answers if 200 <= status < 300}

    def served_to(self, caller: str) -> set[str]:
        """The operations that should have."""
        return {operation for operation in self.documented if MAY_CALL.get(operation) in CALLERS[caller]}


class Person:
    """Somebody who signs in anew before each request.

    They may have signed out just now, have given up their role or shut themselves out, and still the next request
    is to be one of theirs.
    """

    def __init__(self, app: Flask, role: Role) -> None:
        self.app, self.id = app, make_user(app, role)
        self.always = {"role": role, "active": True, "password_hash": hashed(PASSWORD)}

    def get(self, case: Case, context: AuthContext) -> str:
        edit(self.app, User, User.id == self.id, **self.always)
        tokens = sign_in(self.app, self.id)
        return str(tokens["refresh_token" if operation_of(case) == "refresh_tokens" else "access_token"])

    def set(self, case: Case, data: str, context: AuthContext) -> None:
        case.headers.update(bearer(data))


def furnish(app: Flask, products: int) -> None:
    """Something of everything that can be asked for. Admins delete products, so there have to be many."""
    make_user(app, username=ADA, email="ada@example.com", password_hash=hashed(PASSWORD))
    make_user(app, Role.ADMIN)  # the one who attacks shall not be the last one
    for _ in range(products):
        product = make_product(app)
        make_offer(app, product)
        make_offer(app, product, stock=0)
        make_offer(app, product, stock=0, last_seen_at=LONG_AGO)


def attack(app: Flask, url: str, caller: str, examples: int, seed: int) -> Findings:
    """Send all kinds of requests to url, with as many random ones as there shall be examples of each.

    The app is one like those that answer at url, on the same database.
    """
    document = requests.get(f"{url}/openapi.json", timeout=SECONDS).json()
    findings = Findings(set(_strict(document)))
    schema = schemathesis.openapi.from_dict(document, config=_config(url, examples, seed))
    people = _people(app, caller)
    schema.auth.providers.extend(_providers(people, caller))
    # Who is nobody tries what belongs to somebody.
    belongings = Belongings(app, people[0].id if people else make_user(app))
    turns: Counter[str] = Counter()

    def map_case(context: HookContext, case: Case) -> Case:
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return case
        operation, number = operation_of(case), next(_numbers)
        case = _sensible(case, number)
        turns[operation] += 1
        if turns[operation] % 2:
            belongings.lend(case, number)
        return case

    def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
        reason = excuse(failure, case, response)
        findings.excused.update([reason] if reason else [])
        return reason is None

    schema.hook(filter_failure)
    schema.hook(map_case)
    for event in from_schema(schema).execute():
        _note(event, findings)
    return findings


def _people(app: Flask, caller: str) -> list[Person]:
    if caller == "anonymous":
        return []
    if caller == "admin":
        return [Person(app, Role.ADMIN)]
    return [Person(app, Role.CUSTOMER) for _ in range(2)]


def _providers(people: list[Person], caller: str) -> list[Any]:
    if len(people) < 2:
        return list(people)
    # What one of the two has, the other one is not to see: the check named object_level_authorization tries.
    names = (caller, "neighbour")
    return [EscalatingAuthProvider(people, list(names), peers=names, pinned=caller)]


def _config(url: str, examples: int, seed: int) -> schemathesis.Config:
    settings = {
        "base-url": url,
        "seed": seed,
        "continue-on-failure": True,
        "auth": {"auto-signup": False},  # who is nobody is not to become somebody
        "cache": {"enabled": False},
        "generation": {"max-examples": examples, "database": "none"},
        "checks": {"max_response_time": SECONDS},
    }
    return schemathesis.Config.from_dict(settings)


def _strict(document: dict[str, Any]) -> Iterator[str]:
    """Take from the document its word for whatever may go wrong: here each status has to be documented by itself."""
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method != "parameters":
                del operation["responses"]["default"]
                yield operation["operationId"]


def _sensible(case: Case, number: int) -> Case:
    """A good request that is not refused for what no document can say: what is taken, and what is true."""
    if "page" in case.query:
        case.query.pop("cursor", None)  # one of the two
    if key := case.headers.get("Idempotency-Key"):
        # An old one brings back an old answer, about a product that may have been deleted since.
        case.headers["Idempotency-Key"] = f"{key[:200]}{number}"
    if isinstance(case.body, dict) and operation_of(case) != "login":
        body = {name: _fresh(value, number) for name, value in case.body.items()}
        if operation_of(case) == "update_me" and not body.keys().isdisjoint({"password", "current_password"}):
            body = {"password": PASSWORD} | body | {"current_password": PASSWORD}
        case.body = body
    return case


def _fresh(value: Any, number: int) -> Any:
    return FRESH[value].format(number) if isinstance(value, str) and value in FRESH else value


def _note(event: events.EngineEvent, findings: Findings) -> None:
    if isinstance(event, events.ScenarioFinished):
        _note_answers(event.recorder, findings)
    elif isinstance(event, events.NonFatalError):
        findings.errors.append(f"{event.label}: {event.value!r}")
    elif isinstance(event, events.FatalError):
        findings.errors.append(repr(event.exception))
    elif isinstance(event, events.EngineFinished) and event.stop_reason is not StopReason.COMPLETED:
        findings.errors.append(f"stopped early: {event.stop_reason}")


def _note_answers(recorder: ScenarioRecorder, findings: Findings) -> None:
    for case_id, interaction in recorder.interactions.items():
        case, response = recorder.cases[case_id].value, interaction.response
        if response is None:
            continue
        if response.request.method == case.operation.method.upper():
            findings.answers[operation_of(case), response.status_code] += 1
        for check in recorder.checks.get(case_id, []):
            if check.failure_info is not None:
                failure, command = check.failure_info.failure, check.failure_info.code_sample
                kind = (check.name, case.operation.label, failure.title, response.status_code)
                findings.failures.setdefault(kind, f"{failure.message}\n{command}\n{response.text[:500]}")
