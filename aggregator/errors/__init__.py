"""What can go wrong: each error with the words that clients read, and the code that their programs read."""

from aggregator.errors.catalogue import *  # noqa: F403 - an error is imported from here, wherever it stands
from aggregator.errors.customers import *  # noqa: F403
from aggregator.errors.kinds import *  # noqa: F403
from aggregator.errors.requests import *  # noqa: F403
