"""Trace formats: what other programs read back."""
