"""Evaluate every checkpoint of a run, or a plain backbone, on transfer targets."""
