"""Files of this machine for a page in a browser of this machine: HTTP on 127.0.0.1, and nothing but reading."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge.errors import InputError

HOST = "127.0.0.1"
LAST_PORT = 65535
TYPES = {
    ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml", ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}  # fmt: skip
ANYTHING = "application/octet-stream"


class Site:
    """`places`: what stands behind each path, `/model.tflite` -> a file, `/wasm/` -> a folder and all that is in it."""

    def __init__(self, places: Mapping[str, Path], *, port: int = 0, headers: Mapping[str, str] | None = None) -> None:
        """Serves from now on; port 0 is any free one. Raises InputError where the port is taken or is none."""
        if not 0 <= port <= LAST_PORT:
            raise InputError(f"port {port} is none; expected 1 to {LAST_PORT}, or 0 for any free one")
        self.places = {path: place.resolve() for path, place in places.items()}
        self.headers = dict(headers or {})
        try:
            self.server = ThreadingHTTPServer((HOST, port), handler_of(self))
        except OSError as error:
            raise InputError(f"nothing can be served at {HOST}:{port} ({error.strerror}); give another port") from error
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server.server_port}"

    def file(self, path: str) -> Path | None:
        """The file behind the path of a request; None where nothing is served, also for one that leads elsewhere."""
        if path in self.places and not path.endswith("/"):
            return self.places[path] if self.places[path].is_file() else None
        folders = [prefix for prefix in self.places if prefix.endswith("/") and path.startswith(prefix)]
        if not folders:
            return None
        prefix = max(folders, key=len)
        file = (self.places[prefix] / (path[len(prefix) :] or "index.html")).resolve()
        return file if file.is_file() and file.is_relative_to(self.places[prefix]) else None

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever reloads a page hangs up in the middle of its files
                super().handle()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            file = None if "\0" in path else site.file(path)
            if file is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            with file.open("rb") as content:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", TYPES.get(file.suffix, ANYTHING))
                self.send_header("Content-Length", str(file.stat().st_size))
                self.send_header("Cache-Control", "no-cache")
                for name, value in site.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                shutil.copyfileobj(content, self.wfile)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: whoever serves has a screen of its own."""

    return Handler
