"""What a function's code says, as a digest: comments, docstrings and layout do not count."""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from types import CodeType
from typing import Any, cast


def source_digest(function: object) -> str:
    """Hex digest of the code of a function or class.

    The syntax tree is hashed, without docstrings; where there is no source (a REPL), the compiled code is. What has a
    `source_digest` of its own says itself.
    """
    own = getattr(function, "source_digest", None)
    if isinstance(own, str):
        return own
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cast(Any, function))))
    except (OSError, TypeError, SyntaxError):
        return hashlib.sha256(repr(_all_compiled(function)).encode()).hexdigest()
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            _drop_docstring(part)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _all_compiled(function: object) -> object:
    """What the compiled code of a function, or of all functions of a class, says."""
    if isinstance(function, type):
        members = sorted(vars(function).items())
        return [(name, _all_compiled(getattr(member, "__func__", member))) for name, member in members]
    code = getattr(function, "__code__", None)
    return _compiled(code) if isinstance(code, CodeType) else repr(type(function))


def _compiled(code: CodeType) -> tuple[object, ...]:
    """What compiled code says, without file names, line numbers and addresses."""
    constants = [_compiled(part) if isinstance(part, CodeType) else part for part in code.co_consts]
    return (code.co_code, code.co_names, code.co_varnames, constants)


def _drop_docstring(part: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    first = part.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        part.body = part.body[1:] or [ast.Pass()]
