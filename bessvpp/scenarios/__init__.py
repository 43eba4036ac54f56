"""Joint day-ahead and real-time price paths of a day."""
