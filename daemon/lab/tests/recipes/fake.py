"""Fake of an API: serves the files below a directory, with the methods GET, HEAD, PUT and DELETE.

A missing file is answered with 503. DELETE removes a file only if its content is the body of the request,
and is answered with 409 otherwise. While there is a file `fail`, a PUT removes it and is answered with 500.
Prints each PUT and DELETE.

Arguments: DIRECTORY ADDRESS PORT [CERTIFICATE KEY]
"""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        file = self.file()
        if file.is_file():
            self.answer(200, file.read_text())
        else:
            self.answer(503)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        fail = ROOT / "fail"
        status = 200
        body = self.body()
        if fail.exists():
            fail.unlink()
            status = 500
        else:
            self.file().write_text(body)
        self.answer(status)
        print("PUT", self.path, body, status, flush=True)

    def do_DELETE(self) -> None:
        body = self.body()
        is_same = self.file().is_file() and self.file().read_text() == body
        if is_same:
            self.file().unlink()
        self.answer(200 if is_same else 409)
        print("DELETE", self.path, body, 200 if is_same else 409, flush=True)

    def file(self) -> Path:
        return ROOT / self.path.strip("/").replace("/", "_")

    def body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


ROOT.mkdir(parents=True, exist_ok=True)
server = ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler)
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
