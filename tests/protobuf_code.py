"""The Python code of the protobuf messages. `python -m tests.protobuf_code` writes it; a test demands that it is current.

Owns: where generated code stands: beside the messages, and in the strategies' package, which imports nothing of PKS.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "schemas" / "proto"
MESSAGES = "pks/v1/events.proto"
FOLDERS = (PROTO / "pks" / "v1", ROOT / "clients" / "python" / "pks_client")


def generated() -> dict[str, bytes]:
    """The generated files by name."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["protoc", f"-I{PROTO}", f"--python_out={folder}", f"--pyi_out={folder}", MESSAGES]
        code = protoc.main(command)
        if code:
            raise SystemExit(f"{MESSAGES}: expected messages that protoc takes, found exit code {code}")
        return {path.name: path.read_bytes() for path in Path(folder).rglob("events_pb2.*")}


def main() -> int:
    """Write the files that differ."""
    for name, content in generated().items():
        for folder in FOLDERS:
            path = folder / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
                print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
