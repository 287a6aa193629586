"""Socket types, and the values of the built-in ones. Importing this imports no torch."""

from nodegraph.sockets.types import ANY, Socket, SocketType, accepts, socket, socket_of, socket_type
from nodegraph.sockets.values import (
    Clip,
    Conditioning,
    Handle,
    Image,
    Latent,
    Mask,
    Model,
    Patch,
    Saved,
    SavedFile,
    Sigmas,
    Vae,
)

__all__ = [
    "ANY",
    "Clip",
    "Conditioning",
    "Handle",
    "Image",
    "Latent",
    "Mask",
    "Model",
    "Patch",
    "Saved",
    "SavedFile",
    "Sigmas",
    "Socket",
    "SocketType",
    "Vae",
    "accepts",
    "socket",
    "socket_of",
    "socket_type",
]
