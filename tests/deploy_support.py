"""What the files of `deploy/` say, as tests use it: manifests, compose services, steps of the Dockerfile."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy"
BASE = FOLDER / "kubernetes" / "base"
OVERLAYS = sorted((FOLDER / "kubernetes" / "overlays").iterdir())
COMPOSE = FOLDER / "compose.yaml"
DOCKERFILE = FOLDER / "Dockerfile"

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "m": 2**20, "M": 2**20, "g": 2**30, "G": 2**30}


def size(text: str) -> int:
    """Bytes of a size of Kubernetes (`4Gi`) or compose (`256m`, `4G`, which count in powers of 1024)."""
    found = re.fullmatch(r"(\d+)([A-Za-z]*)", text)
    assert found is not None, text
    return int(found[1]) * UNITS.get(found[2], 1)


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def base_manifests() -> list[dict[str, Any]]:
    """Every object of the base, as it is written."""
    listed = documents(BASE / "kustomization.yaml")[0]["resources"]
    return [one for name in listed for one in documents(BASE / name)]


def built(folder: Path) -> list[dict[str, Any]] | None:
    """What kustomize makes of a folder; None where neither it nor kubectl is there."""
    if shutil.which("kustomize"):
        command = ["kustomize", "build", str(folder)]
    elif shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(folder)]
    else:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The objects of a kind."""
    return [one for one in found if one["kind"] == kind]


def generated_settings(folder: Path) -> dict[str, str]:
    """The settings that a kustomization makes a map of."""
    (generator,) = documents(folder / "kustomization.yaml")[0]["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def compose() -> dict[str, Any]:
    """The compose file, with its anchors resolved."""
    return documents(COMPOSE)[0]


def services(prefix: str) -> dict[str, dict[str, Any]]:
    """The services of the compose file whose names begin so."""
    return {name: one for name, one in compose()["services"].items() if name.startswith(prefix)}


@dataclass(frozen=True)
class Instruction:
    """A line of a Dockerfile, continuations joined."""

    name: str
    text: str


def instructions() -> Iterator[Instruction]:
    """What the Dockerfile says."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8"))
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            yield Instruction(name, rest.strip())
