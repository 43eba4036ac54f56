"""A desk's day, from a finished run: plan and bids, the trade at each gate, the close."""
