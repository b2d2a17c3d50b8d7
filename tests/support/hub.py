"""A loopback server that plays the Hugging Face Hub: one small file, and every way to refuse it."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Hub:
    """What the server has and how it behaves; tests change it while it runs.

    path: where the one file is. promised: the sha256 of the etag, the content's own by default.
    status, code: an answer instead of the file, with the Hub's X-Error-Code. token: the only one
    that is let in. drop_after: close each connection after so many bytes of the body, `drops`
    times. pause_after: stop in the middle, after so many bytes of the body, until `go`. cdn: where
    the body is, as the Hub redirects large files. requests: method, path, authorization and range
    of all that came.
    """

    content: bytes = b""
    path: str = ""
    promised: str | None = None
    status: int = 200
    code: str = ""
    token: str = ""
    drop_after: int = 0
    drops: int = 0
    cdn: str = ""
    url: str = ""
    pause_after: int = 0
    go: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)

    def refusal(self, path: str, authorization: str | None) -> tuple[int, str] | None:
        if self.status != 200:
            return self.status, self.code
        if self.token and authorization != f"Bearer {self.token}":
            return 401, "GatedRepo"
        if path.split("?")[0] != self.path:
            return 404, "EntryNotFound"
        return None


@contextmanager
def serving(**behaviour: object) -> Iterator[Hub]:
    """A running Hub on a free port of 127.0.0.1."""
    hub = Hub(**behaviour)  # type: ignore[arg-type]

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            wanted, asked = self.headers.get("Authorization"), self.headers.get("Range")
            hub.requests.append((self.command, self.path, wanted, asked))
            refusal = hub.refusal(self.path, wanted)
            if refusal is not None:
                self._head(refusal[0], {"X-Error-Code": refusal[1], "Content-Length": "0"})
                return
            content = hub.content
            sha256 = hub.promised or hashlib.sha256(content).hexdigest()
            facts = {"ETag": f'"{sha256}"', "X-Repo-Commit": "c" * 40}
            if hub.cdn:
                facts |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
                self._head(
                    302, {**facts, "Location": f"{hub.cdn}{hub.path}", "Content-Length": "0"}
                )
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            rest = content[start:]
            facts |= {"Content-Length": str(len(rest)), "Accept-Ranges": "bytes"}
            if asked:
                facts["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._head(206 if asked else 200, facts)
            if not body:
                return
            if hub.drops:
                hub.drops -= 1
                rest = rest[: hub.drop_after]
                self.close_connection = True
            if hub.pause_after:
                self.wfile.write(rest[: hub.pause_after])
                self.wfile.flush()
                hub.go.wait(30)
                rest = rest[hub.pause_after :]
            with suppress(ConnectionError):  # the client has what it wanted
                self.wfile.write(rest)

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing on stderr: tests read it."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
