"""nodegraph runs node graphs for image generation."""

__version__ = "0.1.0"
