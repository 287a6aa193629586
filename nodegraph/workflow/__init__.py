"""Workflow documents: reading, writing, parameters and the published schema."""
