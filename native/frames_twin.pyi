"""The compiled twin of `schemas.frames.FrameCodec.decode`: see the source beside it."""

from typing import Any

class FrameReader:
    def __init__(self, owner: type, whole: type | None = None) -> None: ...
    def read(self, frame: bytes) -> list[Any] | None: ...
