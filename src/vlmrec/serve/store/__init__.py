"""What a service must not forget, in a database: events, items, what was recommended."""
