"""Finished runs as tidy frames."""
