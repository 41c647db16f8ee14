"""The models that web and worker share: SQLAlchemy only."""

from aggregator.models.access import Access, Circuit, Endpoint
from aggregator.models.accounts import Role, SignIn, User
from aggregator.models.alerts import Alert, AlertKind, Direction
from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base
from aggregator.models.catalog import Product
from aggregator.models.changes import Change, ChangeKind, ChangeReader
from aggregator.models.feeds import Feed, Registration
from aggregator.models.idempotency import IdempotencyKey
from aggregator.models.jobs import JobRun, RunStatus, Worker
from aggregator.models.limits import RateLimit
from aggregator.models.offers import Offer, PricePoint, ProductPricePoint
from aggregator.models.outbox import Channel, Delivery, DeliveryStatus, Event, Subscription, Webhook
from aggregator.models.price_buckets import PriceBucket, ProductPriceBucket

__all__ = [
    "MAX_PRICE",
    "MAX_STOCK",
    "Access",
    "Alert",
    "AlertKind",
    "Base",
    "Change",
    "ChangeKind",
    "ChangeReader",
    "Channel",
    "Circuit",
    "Delivery",
    "DeliveryStatus",
    "Direction",
    "Endpoint",
    "Event",
    "Feed",
    "IdempotencyKey",
    "JobRun",
    "Offer",
    "PriceBucket",
    "PricePoint",
    "Product",
    "ProductPriceBucket",
    "ProductPricePoint",
    "RateLimit",
    "Registration",
    "Role",
    "RunStatus",
    "SignIn",
    "Subscription",
    "User",
    "Webhook",
    "Worker",
]
