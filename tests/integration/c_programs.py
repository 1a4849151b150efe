"""C programs of the tests, compiled against the header that others compile against."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "c"
ROOT = Path(__file__).parents[2]
HEADER_FOLDER = ROOT / "clients" / "c"
STRICT = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def compile_c(source: str | Path, target: Path, *options: str, compiler: str = "cc") -> Path:
    """Compile a program of `c/` (or any path) with every warning an error; skips where there is no compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"expected a compiler `{compiler}`, found none: install gcc or clang")
    arguments = [compiler, *(options or STRICT), "-I", HEADER_FOLDER, FOLDER / source, "-o", target]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def output(*arguments: object) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout
