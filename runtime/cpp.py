"""C++ to functions: compiled once, kept in a folder of the user's, loaded with ctypes.

`NEURAXIS_CXX` names the compiler, or is `none`; without it `CXX` does, else the first of g++, c++
and clang++ that there is. `NEURAXIS_CACHE` is the folder.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable

FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-w"),
    # no flag that changes what a number is: infinities and NaN are as the oracle has them
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


class CompileError(Exception):
    """The compiler does not take what we wrote, or cannot run; with its first words."""


def compiler() -> str | None:
    """The command of the compiler, if there is one and it is wanted."""
    wanted = os.environ.get("NEURAXIS_CXX") or os.environ.get("CXX")
    if switched_off():
        return None
    for name in [wanted] if wanted else ["g++", "c++", "clang++"]:
        if shutil.which(shlex.split(name)[0]):
            return name
    return None


def switched_off() -> bool:
    """Whether no kernels are wanted."""
    return os.environ.get("NEURAXIS_CXX") == "none"


def folder() -> Path:
    """Where compiled kernels are kept."""
    own = os.environ.get("NEURAXIS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuraxis"


def loaded(
    command: str, sources: Iterable[str], symbols: Iterable[str], real: str
) -> dict[str, Any]:
    """The functions of these names, compiled together for numbers of the C++ type `real`.

    `command` is the compiler. Raises CompileError.
    """
    text = "\n".join(sources)
    flags = (*FLAGS, *shlex.split(os.environ.get("NEURAXIS_CXXFLAGS", "")), f"-DREAL={real}")
    key = "\n".join([command, _version(command), _machine(), *flags, text])
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    path = folder() / f"{digest}.so"
    if not path.exists():
        _compile(command, flags, text, path)
    library = ctypes.CDLL(str(path))
    functions = {}
    for symbol in symbols:
        functions[symbol] = getattr(library, symbol)
        functions[symbol].restype = ctypes.c_long  # of what gives nothing, it is not looked at
        functions[symbol].argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return functions


def _compile(command: str, flags: tuple[str, ...], text: str, path: Path) -> None:
    try:
        with replacing(path) as beside:
            done = subprocess.run(
                [*shlex.split(command), *flags, "-x", "c++", "-", "-o", str(beside)],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                first = next(iter(done.stderr.strip().splitlines()), "it says nothing")
                raise CompileError(f"{command} fails: {first}")
    except OSError as error:
        raise CompileError(f"{command} cannot write a kernel: {error}") from error


@cache
def _version(command: str) -> str:
    done = subprocess.run(
        [*shlex.split(command), "--version"], capture_output=True, text=True, check=False
    )
    return done.stdout.partition("\n")[0]


@cache
def _machine() -> str:
    """What code for this machine depends on; a folder may be seen from several."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    kinds = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return "\n".join([platform.machine(), *kinds[:2]])
