"""The models that web and worker share: SQLAlchemy only."""

from aggregator.models.access import Access, Circuit, Endpoint
from aggregator.models.accounts import Role, SignIn, User
from aggregator.models.alerts import Alert, AlertKind, AlertState, Direction
from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base
from aggregator.models.catalog import Category, Product
from aggregator.models.changes import Change, ChangeKind, ChangeReader
from aggregator.models.feeds import Feed, Registration
from aggregator.models.idempotency import IdempotencyKey
from aggregator.models.images import Image, ImageBlob, ImageStatus, Variant
from aggregator.models.jobs import JobRun, RunStatus, Worker
from aggregator.models.limits import RateLimit
from aggregator.models.offers import Offer, PricePoint, ProductPricePoint
from aggregator.models.orders import (
    Cart,
    CartItem,
    MovementKind,
    Order,
    OrderEvent,
    OrderItem,
    OrderStatus,
    StockMovement,
)
from aggregator.models.outbox import Channel, Delivery, DeliveryStatus, Event, Subscription, ToldDay, Webhook
from aggregator.models.price_buckets import PriceBucket, ProductPriceBucket
from aggregator.models.search import Place, SearchWord

__all__ = [
    "MAX_PRICE",
    "MAX_STOCK",
    "Access",
    "Alert",
    "AlertKind",
    "AlertState",
    "Base",
    "Cart",
    "CartItem",
    "Category",
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
    "Image",
    "ImageBlob",
    "ImageStatus",
    "JobRun",
    "MovementKind",
    "Offer",
    "Order",
    "OrderEvent",
    "OrderItem",
    "OrderStatus",
    "Place",
    "PriceBucket",
    "PricePoint",
    "Product",
    "ProductPriceBucket",
    "ProductPricePoint",
    "RateLimit",
    "Registration",
    "Role",
    "RunStatus",
    "SearchWord",
    "SignIn",
    "StockMovement",
    "Subscription",
    "ToldDay",
    "User",
    "Variant",
    "Webhook",
    "Worker",
]
