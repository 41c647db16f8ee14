"""Settings: one table of them, read from the environment and .env; what is missing or wrong is named all at once."""

from aggregator.config.database_url import normalized_database_url
from aggregator.config.development import development_secret
from aggregator.config.dotenv import load_dotenv
from aggregator.config.environment import from_environment
from aggregator.config.settings import TABLE, Settings

__all__ = ["TABLE", "Settings", "development_secret", "from_environment", "load_dotenv", "normalized_database_url"]
