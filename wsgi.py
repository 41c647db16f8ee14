"""The web process: `gunicorn wsgi:app`. The commands: `flask --app wsgi`."""

from aggregator.app import start

app = start()
