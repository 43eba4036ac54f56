"""Forecasts that keep their promise: conformal recalibration, coverage and scores."""
