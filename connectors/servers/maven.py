"""Released jars of servers that run on Java, fetched from the Maven repository once.

Assumes: Java 17 or newer; Maven where something was not fetched yet.
Guarantees: what stands in the cache is whole, whoever else fetches at the same time; what is not there is an error that
says what to install.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from connectors.servers.process import ServerUnavailable

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_FETCH_SECONDS_MAX = 300
_SAID_CHARACTERS = 2_000


def java(what: str) -> str:
    """The program `java`. Raises ServerUnavailable."""
    found = shutil.which("java")
    if found is None:
        raise ServerUnavailable(f"expected Java 17 or newer to run {what}, found no java: install it")
    return found


def cached(name: str) -> Path:
    """Where a file or folder that was fetched stands."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pks" / name


def fetched(
    what: str,
    name: str,
    goal: str,
    arguments: Callable[[Path], Sequence[str]],
    take: Callable[[Path, str], Path],
) -> Path:
    """Something of the cache, fetched on first use with a goal of Maven's dependency plugin.

    `arguments` are those of the goal for a folder that is Maven's alone; `take` looks at it and at what Maven said, and says
    what of it goes into the cache. Raises ServerUnavailable, also where Maven failed.
    """
    target = cached(name)
    if target.exists():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable(
            f"expected {what} in {target} or Maven (mvn) to fetch it, found neither: install Maven"
        )
    folder = target.with_name(f"{name}.{uuid4().hex}")
    folder.mkdir(parents=True)
    try:
        command = [maven, "-q", "-B", *arguments(folder), f"{_PLUGIN}:{goal}", f"-DoutputDirectory={folder}"]
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_FETCH_SECONDS_MAX, check=False
        )
        said = (done.stdout + done.stderr)[-_SAID_CHARACTERS:]
        if done.returncode:
            raise ServerUnavailable(f"expected Maven to fetch {what}, found: {said}")
        try:
            take(folder, said).rename(target)
        except OSError:  # another process was faster
            if not target.exists():
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target
