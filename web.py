"""The web process: `python web.py`, which is `gunicorn wsgi:app` once the settings are known to work."""

import os
import sys

from aggregator.config import from_environment
from aggregator.errors import UsageError

if __name__ == "__main__":
    try:
        settings = from_environment()
    except UsageError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(78)
    # gunicorn reads this one by itself before it reads gunicorn.conf.py, and anything but a number is a traceback.
    os.environ["WEB_CONCURRENCY"] = str(settings.web_concurrency)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "wsgi:app", *sys.argv[1:]])  # noqa: S606
