"""How often something was tried."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base

LIMIT_KEY_LENGTH = 200


class RateLimit(Base):
    """How many tries there were since a window of time began; it ends at expires_at."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(sa.String(LIMIT_KEY_LENGTH), primary_key=True)
    tries: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(index=True)
