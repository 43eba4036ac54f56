"""The two-stage programme: stated to be read, solved fast."""
