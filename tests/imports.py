"""Reads what modules import, without importing them."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository."""

LAZY_ENTRY = re.compile(r"(?:pipeline|infra|jobs|configs)(?:\.[a-zA-Z_]\w*)+(?::\w+)?")
"""A row's value in a table of implementations, such as `infra.stores.s3:S3Store`: an import on use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import, as one module states it."""

    module: str
    """Dotted name of the importing module."""
    target: str
    """Dotted name of what is imported; for `from a import b` it is `a.b`, be `b` a module or not."""
    line: int
    at_import: bool
    """True when it runs as the importing module is imported; False inside functions and under TYPE_CHECKING."""

    def __str__(self) -> str:
        """Place and target, for a failing test to show."""
        return f"{self.module}:{self.line} imports {self.target}"


def modules(*packages: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of every Python module in these top-level folders."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(sources: Mapping[str, Path]) -> list[Import]:
    """Every import of these modules."""
    return [
        one
        for module, path in sources.items()
        for one in read(path.read_text(encoding="utf-8"), module=module, is_package=path.name == "__init__.py")
    ]


def read(source: str, *, module: str, is_package: bool = False) -> list[Import]:
    """Every import in one module's source, entries of lazy tables included, in order."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    return [
        Import(module=module, target=target, line=line, at_import=at_import and not isinstance(node, ast.Constant))
        for node, at_import in _statements(ast.parse(source), at_import=True)
        for target, line in _targets(node, package=package)
    ]


def cycles(stated: Iterable[Import], *, known: Iterable[str]) -> list[str]:
    """Rings of modules that import each other while being imported, each as `a -> b -> a`."""
    names = set(known)
    graph: dict[str, set[str]] = {name: set() for name in names}
    for one in stated:
        target = one.target if one.target in names else one.target.rpartition(".")[0]
        if one.at_import and target in names and target != one.module:
            graph[one.module].add(target)
    return sorted({ring for start in sorted(graph) for ring in _rings(graph, start)})


def _rings(graph: Mapping[str, set[str]], start: str) -> Iterator[str]:
    """The shortest ring through `start`, if there is one, told from its first name in the alphabet."""
    came_from: dict[str, str] = {}
    queue = [start]
    for here in queue:
        for there in sorted(graph[here]):
            if there == start:
                ring = [here]
                while ring[-1] != start:
                    ring.append(came_from[ring[-1]])
                first = ring.index(min(ring))
                ordered = [ring[(first - step) % len(ring)] for step in range(len(ring) + 1)]
                yield " -> ".join(ordered)
                return
            if there not in came_from:
                came_from[there] = here
                queue.append(there)


def _statements(node: ast.AST, *, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below, with whether it runs as the module is imported."""
    for child in ast.iter_child_nodes(node):
        runs = at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, runs
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield part, False
                yield from _statements(part, at_import=False)
            for part in child.orelse:
                yield part, runs
                yield from _statements(part, at_import=runs)
        else:
            yield from _statements(child, at_import=runs)


def _targets(node: ast.AST, *, package: list[str]) -> Iterator[tuple[str, int]]:
    """What one node imports, and its line."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and LAZY_ENTRY.fullmatch(node.value):
        yield node.value.replace(":", "."), node.lineno
