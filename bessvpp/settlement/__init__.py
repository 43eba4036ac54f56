"""A day's books: what a commitment came to, and the audit of somebody's schedule."""
