"""Faust's web server on a socket that is bound already, without any of Faust's own pages.

The socket is bound before the App is built, so that its address is known to the App (routing needs it), a free
port can be taken, and a port in use is an error of the start and not of a running worker.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from aiohttp.web import HTTPException, Request, SockSite, StreamResponse, json_response, middleware
from faust.web.drivers.aiohttp import Web


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one. Raises OSError where it is in use."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


@middleware
async def _errors_as_json(
    request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]
) -> StreamResponse:
    """What no view answers (no such path, no such method) is answered in JSON as well."""
    try:
        return await handler(request)
    except HTTPException as error:
        if error.status < 400:
            raise
        text = f"expected a path that GET / names, found {request.method} {request.path}: {error.reason}"
        return json_response({"error": text}, status=error.status)


class ListeningWeb(Web):  # type: ignore[misc]
    """Serves the pages of an App on its `listener`."""

    # `/table` and `/router` show every table to whoever asks, `/graph` and `/` what runs here.
    default_blueprints: ClassVar[Sequence[Any]] = ()
    production_blueprints: ClassVar[Sequence[Any]] = ()
    debug_blueprints: ClassVar[Sequence[Any]] = ()
    optional_blueprints: ClassVar[Sequence[Any]] = ()

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.web_app.middlewares.append(_errors_as_json)

    def _new_transport_tcp(self) -> Any:
        return SockSite(self._runner, self.app.listener, ssl_context=self.app.conf.web_ssl_context)
