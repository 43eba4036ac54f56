"""Plan, value and audit a battery virtual power plant on the Indian Energy Exchange."""

__version__ = "0.1.0"
