"""The job that sends to webhooks: due when there is something, and none the worse for a process that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.engine import URL
from standardwebhooks import Webhook as Verifier

from aggregator.clock import utcnow
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, JobRun
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored
from tests.scenarios.processes import ROOT, environment
from tests.wire import Heard, Script, hangs, http, says, wire

JOB = JOBS["send-webhooks"]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(webhook_test_hosts=("127.0.0.1",))


def run_once(app: Flask) -> object:
    with app.app_context():
        return run_job(JOB, Run())


def is_due(app: Flask) -> bool:
    with app.app_context():
        return JOB.due()


def test_it_is_looked_at_each_second():
    assert JOB.seconds == 1


def test_it_is_due_when_a_message_is(app):
    webhook_id = make_webhook(app, make_user(app))
    assert not is_due(app)

    make_delivery(app, webhook_id, due_at=utcnow() + timedelta(minutes=5))
    make_delivery(app, webhook_id, status=DeliveryStatus.DELIVERED)
    make_delivery(app, webhook_id, claimed_by="x", claimed_until=utcnow() + timedelta(minutes=1))
    edit(app, Delivery, Delivery.status == DeliveryStatus.DELIVERED, due_at=LONG_AGO)
    assert not is_due(app)

    make_delivery(app, webhook_id)
    assert is_due(app)


def test_it_leaves_mails_alone(app):
    delivery_id = make_delivery(app, make_webhook(app, make_user(app)))
    edit(app, Delivery, Delivery.id == delivery_id, channel=Channel.MAIL, webhook_id=None, event=Event.DAILY)

    assert not is_due(app)
    assert run_once(app) is None


def test_it_says_what_it_did(app):
    answers = iter([http(), http(), http(500)])
    with wire(lambda _: says(next(answers)), choose=True) as server:
        for _ in range(3):
            make_delivery(app, make_webhook(app, make_user(app), server.url))
        assert run_once(app) == {"delivered": 2, "failed": 1}

    (run,) = stored(app, JobRun)
    assert (run.job, run.error) == ("send-webhooks", None)


def test_a_message_that_was_sent_by_a_process_that_was_killed_is_sent_again_as_the_same(
    app: Flask, database_url: URL
) -> None:
    sender: list[subprocess.Popen[bytes]] = []

    def play(_: Heard) -> Script:
        if len(server.heard) == 1:  # sent, and not noted
            os.kill(sender[0].pid, signal.SIGKILL)
            return hangs
        return says(http())

    with wire(play, choose=True) as server:
        delivery_id = make_delivery(app, make_webhook(app, make_user(app), server.url), {"name": "x"})
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "jobs", "run", "send-webhooks"]
        key = app.extensions["settings"].secret_key  # what the webhook's secret is encrypted with
        told = environment(database_url, "http://127.0.0.1:9", WEBHOOK_TEST_HOSTS="127.0.0.1", SECRET_KEY=key)
        sender.append(subprocess.Popen(command, cwd=ROOT, env=told, stderr=subprocess.DEVNULL))
        assert sender[0].wait(timeout=30) == -signal.SIGKILL

        assert run_once(app) is None  # the dead process's claim still holds
        edit(app, Delivery, claimed_until=LONG_AGO)
        assert run_once(app) == {"delivered": 1}

    first, second = server.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(delivery_id)
    assert first.body == second.body
    assert Verifier(SECRET).verify(second.body, second.headers)["data"] == {"name": "x"}
    (delivery,) = stored(app, Delivery)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 2)
