"""What a function's code says, as a digest: comments, docstrings and layout do not count."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable
from types import CodeType


def source_digest(function: Callable[..., object]) -> str:
    """Hex digest of a function's code.

    The syntax tree is hashed, without docstrings; where there is no source (a REPL), the compiled code is.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return hashlib.sha256(repr(_compiled(function.__code__)).encode()).hexdigest()
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            _drop_docstring(part)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _compiled(code: CodeType) -> tuple[object, ...]:
    """What compiled code says, without file names, line numbers and addresses."""
    constants = [_compiled(part) if isinstance(part, CodeType) else part for part in code.co_consts]
    return (code.co_code, code.co_names, code.co_varnames, constants)


def _drop_docstring(part: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    first = part.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        part.body = part.body[1:] or [ast.Pass()]
