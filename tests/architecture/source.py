"""The project's own source, read once for the tests of this folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path from the root, as people write it."""
        return str(self.path.relative_to(ROOT))

    @property
    def room(self) -> str:
        """The folder under marketplace/, or an empty text for the top floor."""
        parts = self.path.relative_to(ROOT / "marketplace").parts
        return parts[0] if len(parts) > 1 else ""

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported when the module runs; imports for types alone are left out."""
        for node in _walk_without_type_checking(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file under marketplace/, and config.py."""
    paths = sorted((ROOT / "marketplace").rglob("*.py"))
    texts = ((path, path.read_text(encoding="utf-8")) for path in paths)
    return tuple(Module(path, text, ast.parse(text)) for path, text in texts)


@cache
def templates() -> tuple[tuple[str, str], ...]:
    """Name and text of every template."""
    folder = ROOT / "templates"
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".html", ".txt", ".xml"})
    return tuple((str(path.relative_to(folder)), path.read_text(encoding="utf-8")) for path in paths)


def _walk_without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for branch in child.orelse:
                yield branch
                yield from _walk_without_type_checking(branch)
            continue
        yield child
        yield from _walk_without_type_checking(child)
