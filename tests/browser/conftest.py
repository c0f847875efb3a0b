"""A headless Chromium, and the course's own server for it to talk to."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from course_utils.commands import suite

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SCREEN = {"width": 1280, "height": 720}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL = {"127.0.0.1", "localhost", "::1"}


class Server:
    """A verb of the course, serving; `work` is the student's folder."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.work, self.token = folder / "work", secrets.token_hex(16)
        self.state, self.log = folder / "state", folder / "server.log"
        config = self.state / "config"  # the course's own, whatever the user's is
        config.mkdir(parents=True)
        # So that a test can ask the page what the kernel is doing.
        (config / "jupyter_lab_config.py").write_text("c.LabApp.expose_app_in_browser = True\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        variables = {
            "COURSE_WORK": str(self.work),
            # Neither tabs that a user of this .venv left open, nor tabs left for one.
            "COURSE_STATE": str(self.state),
            "JUPYTER_TOKEN": self.token,
            "OMP_NUM_THREADS": "1",
        }
        verb = [sys.executable, "-m", "course_utils.commands.cli", *words]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*verb, "--no-browser", "--port", str(self.port)],
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def url(self) -> str:
        """What the server would open: its front page leads on to the notebook."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def wait(self, seconds: float = 60) -> None:
        """Until it answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=5).close()
                return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """Ends it, and the kernels it has started."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """`serve("lab", "06")` starts `course lab 06` in an empty folder of a student."""
    started = []

    def start(*words: str) -> Server:
        server = Server(tmp_path_factory.mktemp("server"), *words)
        started.append(server)
        server.wait()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def browser():
    """Chromium; skips where there is none."""
    path = suite.chromium()
    if path is None:
        pytest.skip("no Chromium found; COURSE_CHROMIUM can name one")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """An empty page of 1280 x 720; the test fails if it asks anything of another machine."""
    page = browser.new_page(viewport=SCREEN)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.set_default_timeout(60_000)
    yield page
    page.close()
    outside = [url for url in asked if is_outside(url)]
    assert asked, "the page asked for nothing at all"
    assert not outside, f"requests to other machines: {outside}"


def is_outside(url: str) -> bool:
    """Whether a request leaves this machine; data: and blob: do not."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOCAL


@pytest.fixture
def screenshot(page, tmp_path, request):
    """`screenshot("name")` keeps a picture of the page: in COURSE_SCREENSHOTS, if it is set."""
    folder = Path(os.environ.get("COURSE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> Path:
        path = folder / f"{request.node.name}-{name}.png"
        page.screenshot(path=path)
        return path

    return take
