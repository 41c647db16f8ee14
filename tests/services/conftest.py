"""Claims on products, for the tests of all that is done with them."""

from collections.abc import Callable, Collection

import pytest

from aggregator.database import transaction
from aggregator.models import Endpoint
from aggregator.services import feeds

BOTH = {Endpoint.REGISTER, Endpoint.OFFERS}


@pytest.fixture
def us(app) -> str:
    """The fingerprint of our account at the offers service."""
    return app.extensions["settings"].offers.fingerprint


@pytest.fixture
def claim_due(us) -> Callable[..., list[str]]:
    """Claims what is due for some calls, and returns the ids in their order."""

    def claim_due(name: str, limit: int = 100, endpoints: Collection[Endpoint] = BOTH) -> list[str]:
        with transaction():
            return [product.product_id for product in feeds.claim_due(name, limit, endpoints, us)]

    return claim_due
