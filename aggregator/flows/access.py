"""The access token, however it is come by: from its row, or by one process for all from the service."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from aggregator.clients.offers import (
    AccessToken,
    OffersError,
    OffersService,
    ServiceDown,
    TokenHeld,
    TokenRefused,
    read_auth,
)
from aggregator.clients.wire import Reply, Request, TransportError
from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.flows import circuits
from aggregator.models import Endpoint
from aggregator.secret_box import SecretBox, UnreadableSecret
from aggregator.services import access

POLL_SECONDS = 0.05
HELD_SECONDS = 15.0  # how long to wait, or to go on with what we have, while a token is said to be valid
REFUSED_SECONDS = 60.0
REFUSED_FRESH = "a fresh access token is refused"
# Of the first generation only: a new sign-up would be another account, which does not know our products.
LOST = "the stored access token cannot be read: SECRET_KEY has changed; docs/operations/secrets.md says what to do"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TokenSource:
    """Hands out the access token of service. send makes a call; holder names this process."""

    service: OffersService
    send: Callable[[Request], Reply | TransportError]
    holder: str
    box: SecretBox  # which the token is stored in
    patience: float = 2.0  # seconds to wait for another process that is fetching the token

    def token(self) -> AccessToken:
        """A token that should be good. OffersError where there is none to be had now."""
        deadline = time.monotonic() + self.patience
        while True:
            token, pause, leased = self._look_or_lease()
            if token:
                return token
            if pause:
                raise ServiceDown(pause.reason)
            if leased:
                return self._renew()
            if time.monotonic() > deadline:
                raise ServiceDown("another process is fetching the access token")
            time.sleep(POLL_SECONDS)

    def _look_or_lease(self) -> tuple[AccessToken | None, access.Pause | None, bool]:
        """What _look() finds; where that is nothing, whether it is now this process that asks for a token."""
        try:
            with transaction():
                token, pause = self._look()
                leased = not token and not pause and access.take_lease(self.holder)
                if leased:
                    # Again, now that the row is ours: on PostgreSQL somebody may have finished in between.
                    token, pause = self._look()
                    if token or pause:
                        access.give_back_lease(self.holder)
        except UnreadableSecret:
            self._give_up(LOST, REFUSED_SECONDS)
            raise ServiceDown(LOST) from None
        return token, pause, leased

    def _look(self) -> tuple[AccessToken | None, access.Pause | None]:
        """The stored token or, where there is none, why none is to be asked for now.

        One that cannot be read is as good as none where another can be got; else UnreadableSecret, unless all pauses.
        """
        if self.service.access_token and not self.service.refresh_token:
            pause = access.pauses().get(Endpoint.AUTH)
            return None if pause else AccessToken(self.service.access_token, None), pause
        token = None
        try:
            token = access.stored_token(self.service.fingerprint, self.box)
        except UnreadableSecret:
            if not self.service.refresh_token and Endpoint.AUTH not in access.pauses():
                raise
        return token, None if token else access.pauses().get(Endpoint.AUTH)

    def replacement(self, rejected: AccessToken) -> AccessToken:
        """The token to use after one was refused. OffersError where there is none to be had now.

        It is the same one where the service says that one is still valid; see AccessToken.confirms().
        """
        if rejected.expires_at is None:
            # The first generation gives one token for ever; a new one would not know our products.
            self._give_up("the access token is refused", REFUSED_SECONDS)
            raise TokenRefused("the access token is refused")
        with transaction():
            access.doubt_token(rejected.value, self.box)
        return self.token()

    def refused_again(self, token: AccessToken, first: AccessToken) -> None:
        """Note that the token to use after the first one was refused as well: nobody is to try for a while."""
        if token.value != first.value:
            self._give_up(REFUSED_FRESH, REFUSED_SECONDS)
            return
        # The service holds a token for valid, and it is not ours: one was given out whose answer was lost.
        with transaction():
            access.drop_token(token.value, self.box)
        self._give_up("another access token is still valid", HELD_SECONDS)

    def _renew(self) -> AccessToken:
        reply = self.send(self.service.auth_request())
        try:
            token = read_auth(reply, utcnow(), permanent=not self.service.refresh_token)
        except TokenHeld as error:
            return self._go_on(error)
        except TokenRefused as error:
            self._give_up(error.reason, REFUSED_SECONDS)
            raise
        except OffersError as error:
            self._give_up(error.reason, error.retry_after)
            raise
        with transaction():
            access.store_token(self.service.fingerprint, token, self.box)
            access.give_back_lease(self.holder)
            blame = access.blamed().get(Endpoint.AUTH)
            # Where the last fresh token was refused, only a call that takes this one shows that it is over.
            works = blame is not None and blame.reason != REFUSED_FRESH and access.close_circuit(Endpoint.AUTH)
        circuits.log_closed([Endpoint.AUTH] if works else [])
        log.info("access token renewed", expires_at=token.expires_at)
        return token

    def _go_on(self, error: TokenHeld) -> AccessToken:
        with transaction():
            token = access.prolong_token(self.service.fingerprint, HELD_SECONDS, self.box)
            access.give_back_lease(self.holder)
        if token:
            return token
        self._give_up(error.reason, HELD_SECONDS)
        raise error

    def _give_up(self, reason: str, seconds: float | None) -> None:
        with transaction():
            opened = access.open_circuit(Endpoint.AUTH, reason, seconds)
            access.give_back_lease(self.holder)
        if opened:
            circuits.log_opened(Endpoint.AUTH, reason)
