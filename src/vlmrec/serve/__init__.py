"""A run as a service: HTTP, live events and items, explanations, a page to look at."""
