"""Prices day by day, who knows what when, and the embedded synthetic market."""
