"""Changes of what is done with a model: of how guidance works, and of what happens inside the UNet.

Those inside are set on a clone of the module that shares its weights, never on the module itself.
"""
