"""Where a remote cache is: `s3://bucket/prefix`, `file:///folder` or `memory://name`, read without any library.

Credentials never stand in an address: they would end up in lists of processes, in logs and in configurations that are
shown.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

Kind = Literal["file", "memory", "s3"]
Mode = Literal["read", "read-write"]

MODES: Final[tuple[Mode, ...]] = ("read", "read-write")
DEFAULT_TIMEOUT: Final = 10.0
EXAMPLES: Final = "s3://bucket/prefix, file:///folder or memory://name"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECRETS: Final = re.compile(r"(?<=//)[^/\s]*@")


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a remote cache. `path`: the folder, the name, or the bucket with the prefix in it."""

    kind: Kind
    path: str

    def __str__(self) -> str:
        return f"{self.kind}://{self.path}"


def address_of(text: str) -> Address:
    """Read an address. Raises ValueError, in words that repeat none of it."""
    kind, mark, rest = text.partition("://")
    if not mark or "\0" in text:
        raise ValueError(f"an address of a remote cache is {EXAMPLES}")
    if "@" in rest.partition("/")[0]:
        raise ValueError("an address holds no name or password; give them as AWS_ACCESS_KEY_ID and so on, or a profile")
    match kind:
        case "file":
            path = unquote(rest.removeprefix("localhost"))
            if not path.startswith("/"):
                raise ValueError("the folder of a remote cache has to be absolute: file:///folder")
            return Address("file", path)
        case "memory":
            return Address("memory", rest.strip("/"))
        case "s3":
            return Address("s3", _bucket_of(rest))
        case _:
            raise ValueError(f"there is no remote cache of that kind; an address is {EXAMPLES}")


def without_secrets(text: str) -> str:
    """A text in which no address names a user or a password."""
    return _SECRETS.sub("…@", text)


def _bucket_of(rest: str) -> str:
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket) or "?" in prefix or "#" in prefix:
        raise ValueError("this is no bucket with a prefix: s3://bucket/prefix")
    if importlib.util.find_spec("s3fs") is None:
        raise ValueError('s3:// needs a package that is not installed: pip install "nodegraph[s3]"')
    return "/".join([bucket, *filter(None, prefix.split("/"))])
