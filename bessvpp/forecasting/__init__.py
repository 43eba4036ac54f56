"""Features, quantile models of both markets, and the simple forecasts beside them."""
