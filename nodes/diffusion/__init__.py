"""The plain diffusion library that the nodes call: sigmas, schedules, samplers, guidance, prompts, previews.

There is no node in here, and nothing of nodegraph's engine: every function works on tensors and on modules
of diffusers and transformers, and can be called from any Python program.
"""
