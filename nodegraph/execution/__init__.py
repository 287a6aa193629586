"""Execution: plans, the executor, its events and results."""
