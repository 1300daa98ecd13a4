"""The page in a headless Chromium, driven through its debugging protocol: a click shows the numbers of the file."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import open_fields, write_dataset
from driftfield.testing import tiny_ocean
from driftfield.viewer.folder import ViewedFolder
from driftfield.viewer.server import ViewerServer

aiohttp = pytest.importorskip("aiohttp")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ViewerServer, xr.Dataset]]:
    place = tmp_path_factory.mktemp("browser")
    truth = tiny_ocean(times=4)[["thetao"]]
    fields = truth.assign(thetao_sd=0.1 + 0 * truth["thetao"]).astype("float32")
    fields["thetao"].attrs = dict(truth["thetao"].attrs)
    write_dataset(fields, place / "fields.nc")
    write_dataset(truth + 0.5, place / "other.nc")
    server = ViewerServer(ViewedFolder(place, {"fields.nc": place / "fields.nc"}))
    Thread(target=server.serve_forever, daemon=True).start()
    yield server, open_fields(place / "fields.nc").load()
    server.shutdown()
    server.server_close()


class Page:
    """One page of the browser."""

    def __init__(self, line: Any) -> None:
        self._line, self._number, self.errors = line, 0, []  # type: ignore[var-annotated]

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._line.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._line.receive(timeout=90)).data)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(message["params"])
            if message.get("id") == self._number:
                return message["result"]  # type: ignore[no-any-return]

    async def value(self, expression: str) -> Any:
        return (await self.tell("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str) -> None:
        for _ in range(600):
            if await self.value(expression):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never: {expression}; {await self.value('document.body.innerText')}")

    async def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.tell("Input.dispatchKeyEvent", type=kind, key=name)


def browsing(url: str, folder: Path, steps: Callable[[Page], Coroutine[Any, Any, None]]) -> None:
    """Opens the page in a browser of its own and takes the steps."""
    assert CHROMIUM is not None
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,1400", "--remote-debugging-port=0"]
    browser = subprocess.Popen(
        [CHROMIUM, *arguments, f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    try:
        port = _port(folder)
        asyncio.run(_drive(port, url, steps))
    finally:
        browser.terminate()
        browser.wait(20)


def _port(folder: Path) -> int:
    for _ in range(600):
        if (folder / "DevToolsActivePort").exists() and (text := (folder / "DevToolsActivePort").read_text()):
            return int(text.split()[0])
        time.sleep(0.1)
    raise AssertionError("the browser did not start")


async def _drive(port: int, url: str, steps: Callable[[Page], Coroutine[Any, Any, None]]) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            target = next(page for page in await answer.json() if page["type"] == "page")
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as line:
            page = Page(line)
            await page.tell("Runtime.enable")
            await page.tell("Log.enable")
            await page.tell("Page.navigate", url=url)
            await page.until("document.body && document.body.dataset.ready > 0")
            await steps(page)
            assert not page.errors, page.errors


CENTRE = """(() => { const canvas = document.querySelectorAll('.map canvas')[%d], box = canvas.getBoundingClientRect();
  const ratio = box.width / canvas.width, [x, y] = pointOf(canvas, drawn[%d].plane, %d, %d);
  return [box.left + x * ratio, box.top + y * ratio]; })()"""
NUMBERS = (
    "[...document.querySelectorAll('#numbers tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
)


def test_a_click_shows_the_numbers_of_the_file(shown: tuple[ViewerServer, xr.Dataset], tmp_path: Path) -> None:
    server, fields = shown

    async def steps(page: Page) -> None:
        await page.click(*await page.value(CENTRE % (0, 0, 3, 5)))
        await page.until("document.querySelectorAll('#numbers tbody tr').length > 0")
        rows = await page.value(NUMBERS)
        profile = [float(row[2]) for row in rows if row[0] == "depth [m]"]
        series = [float(row[2]) for row in rows if row[0] == "date"]
        here = fields["thetao"].isel(lat=3, lon=5)
        np.testing.assert_allclose(profile, here.isel(time=0).values, rtol=1e-6)
        np.testing.assert_allclose(series, here.isel(depth=0).values, rtol=1e-6)
        reading = await page.value("document.getElementById('reading').value")
        assert "row 3, column 5" in reading
        # the address holds the view: a new page at it shows the same
        address = await page.value("location.href")
        assert re.search(r"row=3&column=5", address)
        await page.tell("Page.navigate", url="about:blank")
        await page.tell("Page.navigate", url=address)
        await page.until(
            "document.getElementById('reading') && document.getElementById('reading').value.includes('row 3')"
        )
        assert await page.value("document.getElementById('reading').value") == reading

    browsing(server.url, tmp_path / "profile", steps)


def test_keys_a_second_file_and_a_kept_range(shown: tuple[ViewerServer, xr.Dataset], tmp_path: Path) -> None:
    server, fields = shown

    async def steps(page: Page) -> None:
        assert await page.value("document.querySelectorAll('.map').length") == 3
        away = await page.value("[...drawn[2].plane.values].filter(Number.isFinite)")
        np.testing.assert_allclose(away, -0.5, atol=1e-5)
        scales = await page.value("drawn.slice(0, 2).map((panel) => [panel.scale.low, panel.scale.high])")
        assert scales[0] == scales[1]
        await page.value("change({ kind: 'spread' })")
        await page.until("document.getElementById('message').textContent.includes('has no spread')")
        assert await page.value("document.querySelectorAll('.map').length") == 1
        await page.value("change({ kind: 'mean' })")
        await page.until("document.querySelectorAll('.map').length === 3")
        await page.value("document.querySelector('.map canvas').focus()")
        for name in ("ArrowUp", "ArrowRight", "Enter"):
            await page.key(name)
        middle = fields.sizes["lat"] // 2 + 1, fields.sizes["lon"] // 2 + 1
        await page.until(f"location.hash.includes('row={middle[0]}&column={middle[1]}')")
        await page.value("change({ low: '0', high: '30' })")
        await page.value("change({ time: abouts['fields.nc'].times[2] })")
        shown_date = f"{np.datetime_as_string(fields['time'].values[2], unit='D')}"
        text = "document.getElementById('time-text').value"
        await page.until(f"drawn[1].scale.high === 30 && {text}.startsWith('{shown_date}')")

    browsing(f"{server.url}#file=fields.nc&beside=other.nc", tmp_path / "profile", steps)


def test_a_section_is_cut_with_two_clicks(shown: tuple[ViewerServer, xr.Dataset], tmp_path: Path) -> None:
    server, _ = shown

    async def steps(page: Page) -> None:
        await page.value("document.getElementById('cutting').click()")
        await page.click(*await page.value(CENTRE % (0, 0, 5, 2)))
        await page.until("location.hash.includes('row=5')")
        await page.click(*await page.value(CENTRE % (0, 0, 2, 9)))
        await page.until("!document.getElementById('section-figure').hidden")
        assert "to_row=2&to_column=9" in await page.value("location.hash")

    browsing(server.url, tmp_path / "profile", steps)
