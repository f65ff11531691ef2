"""A container engine's API on a Unix socket, as far as `docker inspect` asks: two tables."""

import contextlib
import http.server
import json
import socketserver
import sys
import threading

IMAGE_ID = "sha256:" + "1d" * 32
DIGEST = "sha256:" + "5a" * 32
NAME = "images.example/agent"
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"
SECRET = "PLANTED-near-key-0123456789"
LABELS = {"org.opencontainers.image.revision": "r1", "org.opencontainers.image.version": "0.1.0"}


def container(**changes):
    """What the engine tells of a container; keys of its `Config` and its own are replaced."""
    told = {
        "Id": "c0" * 32, "Name": "/plane-hetzner-agent-1", "Image": IMAGE_ID,
        "State": {"Status": "running", "Running": True, "StartedAt": "2026-03-01T10:00:00.5Z"},
        "HostConfig": {"Privileged": False, "Tmpfs": {"/run": ""}},
        "Mounts": [{"Type": "volume", "Destination": "/var/lib/agent", "Source": "/x"}],
        "Config": {
            "Image": f"{NAME}@{DIGEST}", "Entrypoint": ["agent-runtime"], "Cmd": None,
            "WorkingDir": "/var/lib/agent", "Labels": {"com.example.secret": SECRET},
            "Env": [f"NEAR_PRIVATE_KEY={SECRET}", PATH, f"PARITY_KEY={SECRET}"],
        },
    }  # fmt: skip
    return _with(told, changes)


def image(**changes):
    """What it tells of the image."""
    told = {
        "Id": IMAGE_ID, "RepoTags": [f"{NAME}:2.0"], "RepoDigests": [f"{NAME}@{DIGEST}"],
        "Config": {
            "Entrypoint": ["agent-runtime"], "Cmd": None, "WorkingDir": "/var/lib/agent",
            "Env": [PATH, "PORT=3000"], "Labels": LABELS,
        },
    }  # fmt: skip
    return _with(told, changes)


def _with(told, changes):
    for key, value in changes.items():
        of = told["Config"] if key in told["Config"] and key != "Image" else told
        of[key] = value
    return told


@contextlib.contextmanager
def engine(folder, running, made):
    """Serve the API; yields the address that `DOCKER_HOST` takes."""

    class Api(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self._answer(200)

        def do_GET(self):
            found = next((t for p, t in (("/containers/", running), ("/images/", made))
                          if p in self.path), None)  # fmt: skip
            status = 404 if found is None and "_ping" not in self.path else 200
            self._answer(status, json.dumps(found or {"message": "no such thing"}).encode())

        def _answer(self, status, body=b""):
            self.send_response(status)
            self.send_header("api-version", "1.41")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if body:
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

        def get_request(self):
            connection, _ = super().get_request()
            return connection, ("the client", 0)

        def handle_error(self, *_):
            if not isinstance(sys.exc_info()[1], ConnectionError):
                super().handle_error(*_)  # a client that has what it wanted just leaves

    path = folder / "engine.sock"
    with Server(str(path), Api) as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            path.unlink()
