"""A local service of marks: answers GET with documents page by page, with tags, and with whatever a test tells it first."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Service:
    """Its address; `answer` gives a document by path and parameters; what came, and statuses to answer next."""

    answer: Callable[[str, dict[str, str]], bytes | None]
    address: str = ""
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    statuses: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    tags: bool = True
    down: bool = False

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


def paged(document: dict[str, Any], size: int, parameters: dict[str, str]) -> bytes:
    """A document of ISS cut into pages of `size` rows of every block, with its cursor."""
    start = int(parameters.get("start", "0"))
    found = {
        name: {"columns": block["columns"], "data": block["data"][start : start + size]}
        for name, block in document.items()
        if name in ("securities", "marketdata")
    }
    total = len(document["securities"]["data"])
    found["securities.cursor"] = {
        "columns": ["INDEX", "TOTAL", "PAGESIZE"],
        "data": [[start, total, size]],
    }
    return json.dumps(found).encode()


@contextmanager
def service(answer: Callable[[str, dict[str, str]], bytes | None]) -> Iterator[Service]:
    """A service that runs as long as the context."""
    kept = Service(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def reply(self) -> None:
            split = urlsplit(self.path)
            parameters = {name: values[0] for name, values in parse_qs(split.query).items()}
            kept.asked.append((split.path, parameters, dict(self.headers)))
            if kept.down:
                self.close_connection = True
                return
            status, headers = kept.statuses.pop(0) if kept.statuses else (200, {})
            body = b"" if status != 200 else kept.answer(split.path, parameters)
            if body is None:
                status, body = 404, b""
            tag = f'"{sha256(body).hexdigest()[:16]}"'
            if status == 200 and kept.tags and self.headers.get("If-None-Match") == tag:
                status, body = 304, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if kept.tags and status == 200:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
