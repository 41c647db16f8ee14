"""The models that web and worker share: SQLAlchemy only."""

from aggregator.models.access import Access, Circuit, Endpoint
from aggregator.models.accounts import Role, SignIn, User
from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base
from aggregator.models.catalog import Product
from aggregator.models.feeds import Feed, Registration
from aggregator.models.idempotency import IdempotencyKey
from aggregator.models.jobs import JobRun, RunStatus, Worker
from aggregator.models.limits import RateLimit
from aggregator.models.offers import Offer, PricePoint, ProductPricePoint

__all__ = [
    "MAX_PRICE",
    "MAX_STOCK",
    "Access",
    "Base",
    "Circuit",
    "Endpoint",
    "Feed",
    "IdempotencyKey",
    "JobRun",
    "Offer",
    "PricePoint",
    "Product",
    "ProductPricePoint",
    "RateLimit",
    "Registration",
    "Role",
    "RunStatus",
    "SignIn",
    "User",
    "Worker",
]
