"""The best items of a query: exact search, and approximate search that is measured against it."""
