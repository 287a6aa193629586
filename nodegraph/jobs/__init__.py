"""The durable queue and history of jobs, and the worker processes that do them."""
