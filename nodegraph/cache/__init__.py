"""Keys, results and live models: everything that lets a run skip work."""
