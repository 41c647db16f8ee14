"""Looks each hour for what must never be in the data, and says so in the log."""

import structlog

from aggregator.jobs.run import Run, Summary
from aggregator.services import audit, jobs

AUDIT = "audit"
AUDIT_SECONDS = 3600.0

log = structlog.get_logger(__name__)


def audit_is_due() -> bool:
    """Whether no worker has audited for about an hour, however often workers are restarted."""
    return not jobs.has_run_within(AUDIT, 0.9 * AUDIT_SECONDS)


def look(run: Run) -> Summary:
    """Look for what must never be in the data, and log it."""
    found = 0
    for rule in audit.RULES:
        if run.stop.is_set():
            break
        for violation in audit.violations(rule):
            found += 1
            log.error(
                "audit violation", rule=rule.name, **{name: str(value) for name, value in violation.found.items()}
            )
        run.alive()
    return {"violations": found}
