"""Engines: where heavy nodes run."""
