"""Sweeps that go on where they were: jobs, grids, and a search for the Pareto front."""
