"""A job in JupyterLab: its widget follows it, the kernel is killed under it, and another cell finds it done."""

from __future__ import annotations

import os
import re
import signal

import pytest

import tomoe_explore as te

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

STATE = ".jp-OutputArea .tomoe-job-state"


def run_cell(lab, number: int) -> None:
    lab.page.evaluate(
        "number => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = number;"
        " return window.jupyterapp.commands.execute('notebook:run-cell') }",
        number,
    )


def test_job_survives_its_kernel(lab, demo, tmp_path):
    raw, root = demo / "raw", tmp_path / "archive"
    submit = (
        f"import os\nimport tomoe_explore as te\narchive = te.Archive.create({str(root)!r})\n"
        f"te.submit({str(raw)!r}, archive, {str(raw / 'refcat.parquet')!r})"
    )
    find = f"import tomoe_explore as te\nte.job({str(root)!r}, 1)"
    lab.open(lab.write("job", submit, find))
    lab.page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
    run_cell(lab, 0)
    lab.page.locator(STATE, has_text="running").wait_for(timeout=60_000)
    lab.page.locator(".jp-OutputArea [role=progressbar]:not([aria-valuenow='0'])").wait_for(timeout=60_000)
    lab.page.locator(".jp-OutputArea .tomoe-job-facts", has_text=re.compile("real time for")).wait_for(timeout=60_000)
    lab.screenshot("job-running")

    job = te.job(root, 1)
    assert job.state == "running"
    pid = job.record.owner.pid
    kernel = int(lab.python("os.getpid()"))
    assert pid != kernel
    os.kill(kernel, signal.SIGKILL)
    lab.page.locator(".jp-Dialog", has_text="appears to have died").wait_for(timeout=60_000)
    lab.page.locator(".jp-Dialog button").first.click()
    lab.page.wait_for_function(IDLE, timeout=60_000)
    assert job.record.owner.pid == pid
    assert job.state in ("running", "done")

    run_cell(lab, 1)
    lab.page.locator(STATE, has_text="done").wait_for(timeout=100_000)
    shown = lab.page.locator(".jp-OutputArea .tomoe-job-facts", has_text="5 of 5 films")
    shown.first.wait_for()
    lab.page.wait_for_timeout(500)
    lab.screenshot("job-found-again")
    it_fits_a_narrow_cell_and_a_dark_theme(lab)
    assert (job.progress.done, job.progress.failed) == (5, 0)
    lab.check()


def it_fits_a_narrow_cell_and_a_dark_theme(lab) -> None:
    lab.page.set_viewport_size({"width": 640, "height": 1600})
    lab.page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    lab.page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    lab.page.wait_for_timeout(500)
    lab.screenshot("job-narrow-dark")
    wide, lightness = lab.page.evaluate(LOOK)
    assert wide == []
    assert len(lightness) >= 3 and min(lightness) > 150, "dark letters on a dark page"


#: What stands out of its cell, and how light the letters are, 0 to 255.
LOOK = """() => {
    const view = [...document.querySelectorAll('.jp-OutputArea .tomoe-job')].at(-1);
    const right = view.closest('.jp-OutputArea-output').getBoundingClientRect().right + 1;
    const parts = [...view.querySelectorAll('.tomoe-job-facts div, .tomoe-job-head > div > div, .tomoe-job-log pre')];
    const wide = [...view.querySelectorAll('[role=progressbar], button, pre, .tomoe-job-facts div')]
        .filter(e => e.getBoundingClientRect().right > right).map(e => e.className || e.tagName);
    return [wide, parts.map(e => Math.max(...getComputedStyle(e).color.match(/\\d+/g).slice(0, 3).map(Number)))];
}"""

IDLE = """() => {
    const kernel = window.jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel;
    return kernel?.status === 'idle' && kernel?.connectionStatus === 'connected';
}"""
