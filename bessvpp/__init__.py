"""Plan, value and audit a battery virtual power plant on the Indian Energy Exchange."""

from __future__ import annotations

__version__ = "0.1.0"
