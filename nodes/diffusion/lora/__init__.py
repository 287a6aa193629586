"""LoRA files: whose layer their tensors are (`keys`), reading them (`files`), what they add to weights (`deltas`),
laying them over a module (`apply`), making one from a difference of models (`extract`).
"""
