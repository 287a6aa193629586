"""Measurements: each module prints a table. `python -m benchmarks` runs all, `python -m benchmarks executor` one."""
