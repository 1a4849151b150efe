"""The Python code of the protobuf messages. `python -m tests.protobuf_code` writes it; a test demands that it is current.

Owns: where generated code stands: beside the messages, and that of events in the strategies' package as well, which
imports nothing of PKS.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "schemas" / "proto"
BESIDE = PROTO / "pks" / "v1"
FOLDERS = {
    "pks/v1/events.proto": (BESIDE, ROOT / "clients" / "python" / "pks_client"),
    "pks/v1/pricing.proto": (BESIDE,),
}
"""Where the code of each file of messages stands."""


def generated() -> dict[Path, bytes]:
    """The generated files by where they stand."""
    found = {}
    for messages, folders in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            command = ["protoc", f"-I{PROTO}", f"--python_out={folder}", f"--pyi_out={folder}", messages]
            code = protoc.main(command)
            if code:
                raise SystemExit(f"{messages}: expected messages that protoc takes, found exit code {code}")
            for path in Path(folder).rglob("*_pb2.py*"):
                found |= {place / path.name: path.read_bytes() for place in folders}
    return found


def main() -> int:
    """Write the files that differ."""
    for path, content in generated().items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
            print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
