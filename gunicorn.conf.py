"""How gunicorn serves `wsgi:app`; read by itself from the working directory."""

import os
import sys

from aggregator.config import from_environment
from aggregator.config.listening import check_listening
from aggregator.database import close
from aggregator.errors import UsageError

# Refuse to start on settings that cannot work, once and in words, before any worker does. This also loads .env.
try:
    settings = from_environment()
    check_listening(settings.host, settings.port)
except UsageError as error:
    print(error.detail, file=sys.stderr)
    sys.exit(78)

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
threads = settings.web_threads
worker_class = "aggregator.serving.worker.DeadlineWorker"
worker_connections = 10_000  # in each process, as far as it may open files; slow clients wait outside of the threads
graceful_timeout = 25
max_requests = 200_000
max_requests_jitter = 20_000
# Nobody's word is taken here for how a request came to be: gunicorn would let any client on this machine say it, and
# SCRIPT_NAME and PATH_INFO move a request to another path. For proxies there is TRUSTED_PROXIES, and the app counts.
forwarded_allow_ips = ""
forwarder_headers = ""
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - gunicorn's own advice


def worker_exit(server, worker):
    """Leave no connection behind."""
    if getattr(worker, "wsgi", None):
        close(worker.wsgi)
