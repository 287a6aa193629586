"""The built-in node pack: one module a stage, each node a typed function."""
