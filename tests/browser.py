"""A headless Chromium, driven through the WebDriver protocol with Python alone."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.serving.running import wait_for

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
]  # fmt: skip
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # of the protocol


class Browser:
    """One window."""

    def __init__(self, driver: str, profile: Path) -> None:
        self._session = driver
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        logs = {"browser": "ALL"}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        opened = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"{driver}/session/{opened['sessionId']}"

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self._session + path, data, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a JavaScript returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def type(self, selector: str, text: str) -> None:
        """Types into an element; for one of files, chooses them."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[ELEMENT]}/value", {"text": text})

    def press(self, key: str) -> None:
        """Presses a key wherever the focus is."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("POST", "/actions", {"actions": [keyboard]})

    def emulate(self, width: int, height: int, scheme: str) -> None:
        """Takes a size of window and a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def download_to(self, folder: Path) -> None:
        """Saves what pages let one download into a folder, without asking."""
        self._devtools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def click(self, selector: str) -> None:
        """Clicks the middle of an element, as a mouse does."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[ELEMENT]}/click", {})

    def wheel(self, x: int, y: int, turned: int) -> None:
        """Turns the wheel at a point of the window, towards the user if above 0."""
        turn = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": turned}
        self._devtools("Input.dispatchMouseEvent", turn)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drags with the mouse from one point of the window to another."""
        for kind, (x, y), pressed in (
            ("mousePressed", start, 1), ("mouseMoved", end, 1), ("mouseReleased", end, 0)
        ):  # fmt: skip
            button = {"button": "left", "buttons": pressed, "clickCount": 1}
            self._devtools("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})

    def pinch(self, x: int, y: int, before: int, after: int) -> None:
        """Moves two fingers to the left and right of a point, from one distance of it to another."""
        for kind, distance in (("touchStart", before), ("touchMove", after)):
            points = [{"x": x - distance, "y": y, "id": 0}, {"x": x + distance, "y": y, "id": 1}]
            self._devtools("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self._devtools("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def offline(self, cut: bool) -> None:
        """Cuts the network off, or lets it be again."""
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._devtools("Network.enable", {})
        self._devtools("Network.emulateNetworkConditions", {"offline": cut, **speed})

    def errors(self) -> list[str]:
        """What the browser complained about since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, beyond: bool = True) -> bytes:
        """All of the page, or only what the window shows, as a PNG."""
        taken = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": beyond})
        return base64.b64decode(taken["data"])

    def quit(self) -> None:
        self._call("DELETE", "")

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile."""
    log = folder / "chromedriver.log"
    with log.open("wb") as file:
        process = subprocess.Popen(["chromedriver", "--port=0"], stdout=file, stderr=file)
    try:
        found = wait_for(lambda: re.search(r"started successfully on port (\d+)", log.read_text()))
        window = Browser(f"http://127.0.0.1:{found[1]}", folder / "profile")
        try:
            yield window
        finally:
            window.quit()
    finally:
        process.terminate()
        process.wait()
