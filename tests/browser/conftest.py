"""A real JupyterLab and a real Chromium, with every request and every JavaScript error written down."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

LOCAL = {"127.0.0.1", "localhost", ""}  # "" is data: and blob:


@dataclass
class Lab:
    """A running JupyterLab: its address, its folder, and a page in Chromium."""

    url: str
    token: str
    folder: Path
    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, notebook: Path) -> None:
        """Open a copy of a notebook and wait for its kernel."""
        shutil.copy(notebook, self.folder / notebook.name)
        self.page.goto(f"{self.url}/lab/tree/{notebook.name}?token={self.token}&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        self.page.wait_for_function(_IDLE, timeout=60_000)

    def write(self, name: str, *cells: str) -> Path:
        """A notebook with these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.folder.parent / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return path

    def run_all(self, timeout_s: float = 240) -> None:
        """Run every cell; fail with the message of the first that fails."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_function(_RAN, timeout=1000 * timeout_s)
        self.check()

    def check(self) -> None:
        """No cell failed, no JavaScript error, no request to the outside."""
        errors = self.page.locator('.jp-OutputArea [data-mime-type="application/vnd.jupyter.stderr"] .ansi-red-fg')
        assert errors.count() == 0, errors.first.locator("xpath=ancestor::pre").inner_text()[-2000:]
        assert "Click to show javascript error" not in self.page.content()
        assert not self.errors, self.errors
        assert not self.outside, f"requests left the machine: {self.outside}"

    def python(self, expression: str) -> str:
        """Value of an expression in the notebook's kernel, as text."""
        return self.page.evaluate(_EVALUATE, f"str({expression})")

    def until(self, expression: str, wanted: Callable[[str], bool], timeout_s: float = 20) -> str:
        """Wait until the expression's value in the kernel is as wanted, and return it."""
        deadline = time.monotonic() + timeout_s
        while not wanted(value := self.python(expression)):
            assert time.monotonic() < deadline, f"{expression} is still {value!r} after {timeout_s} s"
            time.sleep(0.1)
        return value

    def point(self, figure: str, x: float, y: float) -> tuple[float, float]:
        """Where on the page a point of a Bokeh figure lies; ``figure`` is an expression in the kernel."""
        self.page.locator(".jp-OutputArea .bk-Figure").first.wait_for(state="attached")
        return tuple(self.page.evaluate(_POINT, [self.python(f"{figure}.id"), x, y]))

    def screenshot(self, name: str, selector: str | None = None) -> None:
        """Save a picture, if ``$TOMOE_SCREENSHOTS`` names a folder."""
        if folder := os.environ.get("TOMOE_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shown = self.page.locator(selector).first if selector else self.page
            shown.screenshot(path=Path(folder) / f"{name}.png")


_POINT = """([id, x, y]) => {
    const view = window.Bokeh.index.find_one_by_id(id);
    view.el.scrollIntoView({block: 'center'});
    const box = view.el.getBoundingClientRect();
    return [box.x + view.frame.x_scale.compute(x), box.y + view.frame.y_scale.compute(y)];
}"""
_NOTEBOOK = "window.jupyterapp.shell.currentWidget"
_IDLE = f"() => {_NOTEBOOK}?.context?.sessionContext?.session?.kernel?.status === 'idle'"
_RAN = f"""() => {{
    const panel = {_NOTEBOOK};
    const cells = panel.content.model.sharedModel.cells.filter(c => c.cell_type === 'code');
    const failed = cells.some(c => c.outputs.some(o => o.output_type === 'error'));
    const idle = panel.context.sessionContext.session.kernel.status === 'idle';
    return failed || (idle && cells.every(c => c.execution_count !== null));
}}"""
_EVALUATE = f"""async expression => {{
    const kernel = {_NOTEBOOK}.context.sessionContext.session.kernel;
    const future = kernel.requestExecute({{code: '', user_expressions: {{value: expression}}, store_history: false}});
    const value = (await future.done).content.user_expressions.value;
    if (value.status === 'error') throw new Error(value.ename + ': ' + value.evalue);
    return value.data['text/plain'].replace(/^'|'$/g, '');
}}"""


@pytest.fixture(scope="module")
def browser(tool: Callable[[str], str]) -> Iterator[Browser]:
    """Debian's Chromium.

    For one module only: while playwright is open an event loop runs in this thread, which other tests would find.
    """
    chromium = tool("chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Address, token and folder of a JupyterLab of our own, with settings of its own, before the demo night."""
    home = tmp_path_factory.mktemp("jupyter")
    folder = home / "notebooks"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", "--LabApp.check_for_updates_class="
        "jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR")
    environment = os.environ | {place: str(home / place.lower()) for place in places}
    news = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "TOMOE_ARCHIVE": str(demo / "archive")}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/api?token={token}", process, home / "log")
        yield url, token, folder
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)


@pytest.fixture
def lab(browser: Browser, server: tuple[str, str, Path]) -> Iterator[Lab]:
    """JupyterLab in a fresh page; its kernels are ended afterwards."""
    url, token, folder = server
    context = browser.new_context(viewport={"width": 1400, "height": 1600}, device_scale_factor=1.5)
    lab = Lab(url, token, folder, context.new_page())
    context.route(re.compile(".*"), lambda route: _only_local(route, lab))
    context.on("request", lambda request: _note(request.url, lab))
    lab.page.on("websocket", lambda socket: _note(socket.url, lab))
    lab.page.on("pageerror", lambda error: lab.errors.append(f"{error}\n{error.stack}"))
    yield lab
    lab.page.evaluate("async () => { await window.jupyterapp?.serviceManager?.sessions?.shutdownAll() }")
    context.close()


def _note(url: str, lab: Lab) -> None:
    if (urlsplit(url).hostname or "") not in LOCAL:
        lab.outside.append(url)


def _only_local(route, lab: Lab) -> None:  # type: ignore[no-untyped-def]
    if (urlsplit(route.request.url).hostname or "") in LOCAL:
        route.continue_()
    else:
        route.abort()
