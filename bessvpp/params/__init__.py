"""Typed, frozen parameters, one file a section."""
