"""A loopback HTTP endpoint for tests: it keeps what is posted, and answers as it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Endpoint:
    """Its address; what came, by path and document; what it answers next (status and document), else 200."""

    address: str = ""
    posts: list[tuple[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """A server that runs as long as the context."""
    kept = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, document = kept.answers.pop(0) if kept.answers else (200, {"ok": True})
            kept.posts.append((self.path, content))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at what came."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
