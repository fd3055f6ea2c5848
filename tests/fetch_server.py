"""A real HTTP server that behaves as badly as a test asks for."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server sends for one path, and how badly.

    Attributes:
        cuts: after how many bytes the next answers are cut off; the last one is repeated.
        stalls: after how many bytes nothing more comes.
        pace: seconds between pieces of a tenth.
        gate: what to wait for before the first byte.
        says_length: whether the length of the body is announced.
        ranges: what it does when asked to go on in the middle: "yes", "no", "refuses", "lies".
    """

    body: bytes = b""
    status: int = 200
    cuts: list[int] = field(default_factory=list)
    stalls: int | None = None
    pace: float = 0
    gate: threading.Event | None = None
    ranges: str = "yes"
    etag: str = '"1"'
    says_length: bool = True


class Server:
    """Serves `answers` by path on this machine; `log` has the path and range of every request."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.log: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.log.append((request.path, wanted))
        known = self.answers.get(request.path, Answer(status=404))
        start, status = 0, known.status
        if wanted and known.ranges == "refuses":
            status = 416
        elif wanted and known.ranges == "lies":
            status = 206
        elif wanted and known.ranges == "yes" and request.headers.get("If-Range") == known.etag:
            start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
        rest = known.body[start:]
        request.send_response(status)
        if known.says_length:
            request.send_header("Content-Length", str(len(rest)))
        request.send_header("ETag", known.etag)
        if status == 206:
            size = len(known.body)
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        request.end_headers()
        if known.gate:
            known.gate.wait(20)
        if known.cuts:
            rest = rest[: known.cuts.pop(0) if len(known.cuts) > 1 else known.cuts[0]]
        if known.stalls is not None:
            request.wfile.write(rest[: known.stalls])
            self.over.wait(20)
            return
        step = len(rest) // 10 + 1
        for at in range(0, len(rest), step) if known.pace else ():
            request.wfile.write(rest[at : at + step])
            time.sleep(known.pace)
        if not known.pace:
            request.wfile.write(rest)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
