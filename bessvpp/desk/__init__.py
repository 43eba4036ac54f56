"""Tomorrow's plan and bids, from a finished run."""
