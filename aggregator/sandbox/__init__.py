"""A faithful offers service to develop, demo and test against; it stands for somebody else's program."""

from aggregator.sandbox.faults import ENDPOINTS, KINDS, Fault
from aggregator.sandbox.sandbox import DEFAULT_REFRESH_TOKEN, Call, Sandbox
from aggregator.sandbox.service import Registration
from aggregator.sandbox.serving import serve

__all__ = ["DEFAULT_REFRESH_TOKEN", "ENDPOINTS", "KINDS", "Call", "Fault", "Registration", "Sandbox", "serve"]
