"""A hub of models on this computer, which speaks as much of the Hugging Face Hub's language as fetching needs."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ABOUT = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^?]+))?")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)")


class Hub:
    """repositories: by name, the files of each. gated: those that ask who comes. asked: the requests so far."""

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]], gated: tuple[str, ...] = ()) -> None:
        self.repositories, self.gated = repositories, gated
        self.asked: list[str] = []
        self.url = ""

    @property
    def files(self) -> list[str]:
        """The files that were fetched, each once."""
        found = [FILE.match(line.partition(" ")[2]) for line in self.asked if line.startswith("GET")]
        return list(dict.fromkeys(unquote(match[3]) for match in found if match))


class Handler(BaseHTTPRequestHandler):
    """Answers requests for a hub."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self.answer(head=True)

    def do_GET(self) -> None:
        self.answer(head=False)

    def refuse(self, status: int, code: str) -> None:
        """Says no, as the hub does."""
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, head: bool) -> None:
        """Says what there is, or gives a file."""
        self.hub.asked.append(f"{self.command} {self.path}")
        about, file = ABOUT.match(self.path), FILE.match(self.path)
        name = (about or file or [None, ""])[1]
        revision = (about or file or [None, "", ""])[2] or "main"
        if name not in self.hub.repositories:
            self.refuse(401, "RepoNotFound")
            return
        if unquote(revision) not in ("main", COMMIT, "fp8"):
            self.refuse(404, "RevisionNotFound")
            return
        if name in self.hub.gated and file:
            self.refuse(403, "GatedRepo")
            return
        files = self.hub.repositories[name]
        if file and unquote(file[3]) not in files:
            self.refuse(404, "EntryNotFound")
            return
        self.send_response(200)
        if file:
            data = files[unquote(file[3])]
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        else:
            siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
            told = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            data = json.dumps(told).encode()
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not head:
            self.wfile.write(data)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub at `hub.url`, until the end of the block."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HandlerOfThis", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
