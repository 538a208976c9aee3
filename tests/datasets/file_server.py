"""A web server on this machine that serves files under the real paths, well or as badly as a test tells it to."""

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = "/files/sleep-edfx/1.0.0/"
FOLDER = f"{ROOT}sleep-cassette/"


@dataclass
class Answer:
    """How one request is answered; as it is, the way a good server does, ranges included."""

    status: int | None = None  # this error, without a file
    headers: dict[str, str] = field(default_factory=dict)  # instead of the right ones
    ranges: bool = True  # False: always the whole file with 200
    body: bytes | None = None  # instead of the file
    stop_after: int | None = None  # bytes of the body after which `then` happens
    then: str = "close"  # or "reset" (RST), "stall" (silence until the test is over), "drip" (a byte now and then)
    piece: int = 2**16  # bytes written at once
    pause: float = 0.0  # seconds between pieces
    chunked: bool = False  # without Content-Length
    raw: bytes | None = None  # instead of all of it, and then as `then` says


@dataclass
class Request:
    """What the server was asked."""

    name: str
    start: int | None  # of the range; None without one
    headers: dict[str, str]


@dataclass
class Server:
    """`files` by name, the `requests` that came, the `answers` to the next ones in order; good answers afterwards."""

    base_url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)  # ends all stalls and drips

    def asked(self, name: str) -> list[int | None]:
        """The starts of the ranges that a file was asked for with."""
        return [request.start for request in self.requests if request.name == name]


class Handler(BaseHTTPRequestHandler):
    """Answers GET with the next of the server's answers."""

    protocol_version = "HTTP/1.1"
    state: Server
    folder: str

    def handle(self) -> None:
        with suppress(ConnectionError):  # the other side was killed
            super().handle()

    def do_GET(self) -> None:
        name = self.path.removeprefix(self.folder)
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.state.requests.append(Request(name, int(span[1]) if span else None, dict(self.headers)))
        answer = self.state.answers.pop(0) if self.state.answers else Answer()
        try:
            if answer.raw is not None:
                self.wfile.write(answer.raw)
                return self._end(answer, b"")
            self._answer(answer, self.state.files.get(name), int(span[1]) if span and answer.ranges else None)
        except OSError:  # the other side is gone
            self.close_connection = True

    def _answer(self, answer: Answer, content: bytes | None, start: int | None) -> None:
        content = content if answer.body is None else answer.body
        status = answer.status or (404 if content is None else 200 if start is None else 206)
        if status == 206 and start >= len(content):
            status, headers = 416, {"Content-Range": f"bytes */{len(content)}"}
        elif status == 206:
            headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        else:
            headers = {}
        body = content[start or 0 :] if status in (200, 206) else b""
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        headers = {"Date": self.date_time_string()} | headers | answer.headers
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for offset in range(0, len(body[: answer.stop_after]), answer.piece):
            self._write(answer, body[: answer.stop_after][offset : offset + answer.piece])
            time.sleep(answer.pause)
        if answer.stop_after is not None:
            self._end(answer, body[answer.stop_after :])
        elif answer.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, answer: Answer, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if answer.chunked else data)

    def _end(self, answer: Answer, rest: bytes) -> None:
        """Break off a body in the way that the answer tells."""
        self.close_connection = True
        if answer.then == "drip":
            for byte in rest:
                if self.state.released.wait(0.01):
                    return
                self._write(answer, bytes([byte]))
        elif answer.then == "stall":
            self.state.released.wait()
        elif answer.then == "reset":
            time.sleep(0.05)  # a reset takes back what has not been sent yet
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(files: dict[str, bytes], root: str = ROOT, folder: str = FOLDER) -> Iterator[Server]:
    """Serve files of a folder below the root until the block ends."""
    state = Server(files=files)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"state": state, "folder": folder}))
    state.base_url = f"http://127.0.0.1:{httpd.server_port}{root}"
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield state
    finally:
        state.released.set()
        httpd.shutdown()
        httpd.server_close()
