"""Writing a file whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: readers see the old text or the new one. Raises ProblemError."""
    import os
    import tempfile

    from nodegraph.errors import Place, Problem, ProblemError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        code = "disk_full" if error.errno == 28 else "cannot_write"
        message = f"{path} cannot be written: {error.strerror or error}"
        raise ProblemError(Problem(code, message, Place(str(path)))) from error
