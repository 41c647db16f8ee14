"""Every rule and every query. Nothing here commits: the caller owns the transaction."""
