"""The import arrows: specs <- dsl <- compiler <- runtime, and cli, testing and __init__ on top."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "specs": set(),
    "dsl": {"specs"},
    "compiler": {"specs", "dsl"},
    "runtime": {"specs", "dsl", "compiler"},
}
FOREIGN = {
    "specs": {"torch", "triton", "networkx", "numpy", "lark", "jinja2"},
    "dsl": {"torch", "triton", "networkx", "jinja2"},
    "compiler": {"torch", "triton"},
    "runtime": set(),
}
FILES = [(layer, file) for layer in MAY_IMPORT for file in sorted((ROOT / layer).rglob("*.py"))]


def imported(file: Path, layer: str) -> set[str]:
    """Everything that a file imports, by absolute name, wherever in the file it does so."""
    inside = ("neuraxis", layer, *file.relative_to(ROOT / layer).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def fresh(code: str) -> str:
    """What some code prints in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("layer", "file"), FILES, ids=lambda x: getattr(x, "stem", x))
def test_a_layer_imports_only_what_is_below_it(layer: str, file: Path) -> None:
    names = imported(file, layer)
    ours = {name.split(".")[1] for name in names if name.startswith("neuraxis.")}
    assert ours <= MAY_IMPORT[layer] | {layer}
    assert "neuraxis" not in names, "import a module of ours, not the package"
    assert not {name.split(".")[0] for name in names} & FOREIGN[layer]


@pytest.mark.parametrize(("layer", "file"), FILES, ids=lambda x: getattr(x, "stem", x))
def test_imports_inside_the_package_are_relative(layer: str, file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    absolute = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level]
    tops = {(n.module or "").split(".")[0] for n in absolute}
    assert not tops & {"neuraxis", *MAY_IMPORT}


def test_the_layers_are_links_to_the_top_level_folders() -> None:
    for layer in MAY_IMPORT:
        assert (ROOT / "src/neuraxis" / layer).resolve() == ROOT / layer
        assert not (ROOT / "src/neuraxis" / layer).readlink().is_absolute()


def test_no_layer_is_imported_by_its_bare_name() -> None:
    assert not set(MAY_IMPORT) & set(sys.modules)


def test_checking_a_spec_never_imports_torch(tmp_path: Path) -> None:
    spec = tmp_path / "double.nax"
    spec.write_text("block double(x[t]) -> [t]:\n    return 2 * x\n")
    code = f"""
import sys
from neuraxis.cli import main
try:
    done = main(["check", {str(spec)!r}])
except SystemExit as stop:
    done = stop.code
assert not done, done
print({{"torch", "triton", "networkx", "matplotlib", "sklearn"}} & set(sys.modules))
"""
    assert fresh(code).splitlines()[-1] == "set()"


def test_importing_neuraxis_is_light() -> None:
    code = "import sys, neuraxis; print({'torch', 'networkx', 'numpy', 'lark'} & set(sys.modules))"
    assert fresh(code).strip() == "set()"
