"""The packages of src/regraft from the ground up, and what each of them imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
SOURCE = HOME / "src" / "regraft"

# A file imports only from packages above its own.
LAYERS = {
    "ground": ("errors", "verb", "whole_file", "mapped", "distributed", "metrics"),
    "what is known": ("data", "heads", "backbones", "plan"),
    "networks at work": ("networks", "diagram", "features", "finetune"),
    "a run": ("results", "report", "run"),
    "beside and after it": ("look", "compare", "rank", "acquire", "export", "serve"),
    "for the outside": ("estimator", "ray", "__init__", "cli", "__main__"),
}
PACKAGES = [name for layer in LAYERS.values() for name in layer]
# The imports against the order, each inside a function: a door that opens only when it is used.
DOORS = {
    ("backbones", "diagram"),  # a record shows itself in a notebook
    ("plan", "diagram"),  # and so does a plan
    ("run", "rank"),  # which network, where it is left open
}


def package(module: str) -> str:
    """Give the package of a module of ours: regraft.backbones.record -> backbones."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_name(path: Path) -> str:
    """Give the name under which a file of ours is imported."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(path: Path, text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield every module that a file imports, with the line and whether a function does it."""
    tree = ast.parse(text)
    within = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        for target in targets(node, path):
            yield target, getattr(node, "lineno", 0), id(node) in within


def targets(node: ast.AST, path: Path) -> list[str]:
    """Name the modules that a statement imports; none where it is no import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            folder = path.relative_to(SOURCE.parent).parent.parts
            above = folder[: len(folder) - node.level + 1]
            base = ".".join([*above, base]) if base else ".".join(above)
        # from regraft import data: the module, where there is one
        inner = [f"{base}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else base for name in inner]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        return [ast.literal_eval(node.args[0])] if isinstance(node.args[0], ast.Constant) else []
    return []
