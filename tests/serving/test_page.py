"""The page, in a real browser: images go through the server, and what comes back is told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.browser import Browser, browser
from tests.serving.conftest import CLASSES, VALUES, encoded, noise
from tests.serving.limits import SLOW, head, raw
from tests.serving.pages import choose, ended, legend, needs_browser, rows, set_to, shown, text
from tests.serving.running import Server, b64, wait_for
from unet.masks.object_rule import ObjectRule
from unet.masks.objects import predicted_objects
from unet.metrics.names import MIN_OBJECT_SIZE

pytestmark = [pytest.mark.server, needs_browser]

TAB = "\ue004"  # of the WebDriver protocol
DONE = r"{} × {} pixels in [\d.]+ s\."


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, single: Server) -> Browser:
    window.emulate(1280, 800, "light")
    window.open(single.url)
    window.errors()
    return window


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "first.png", tmp_path / "second.png"]
    for path, image in zip(paths, (noise(40, 60), noise(50, 30)), strict=True):
        path.write_bytes(encoded(image))
    return paths


def test_two_images_give_the_masks_that_the_rest_call_gives(
    page: Browser, single: Server, two: list[Path], tmp_path: Path
):
    folder = tmp_path / "downloads"
    folder.mkdir()
    page.download_to(folder)
    found = choose(page, *two)
    assert [row[:2] for row in found] == [["first.png", "done"], ["second.png", "done"]]
    assert re.fullmatch(DONE.format(60, 40), found[0][2])
    page.click("#save-all")
    names = {"first-mask.png", "second-mask.png"}
    wait_for(lambda: {path.name for path in folder.iterdir()} == names)
    for path in two:
        assert (folder / f"{path.stem}-mask.png").read_bytes() == single.mask(path.read_bytes())
    wait_for(lambda: text(page, "message") == "2 masks were saved.")
    (folder / "first-mask.png").unlink()
    assert text(page, "title") == "first.png"
    page.click("#save")  # that of the image that is shown
    wait_for(lambda: {path.name for path in folder.iterdir()} == names)
    assert page.errors() == []


def test_what_cannot_be_read_is_told_beside_it_and_the_others_go_on(
    page: Browser, single: Server, two: list[Path], tmp_path: Path
):
    cut, cmyk, tiff, words = (tmp_path / name for name in ("cut.png", "cmyk.jpg", "stack.tif", "words.txt"))
    cut.write_bytes(two[0].read_bytes()[:900])
    Image.new("CMYK", (8, 8)).save(cmyk)
    Image.fromarray(noise(8, 8).astype(np.float32)).save(tiff)
    words.write_text("no image")
    found = choose(page, two[0], cut, cmyk, tiff, words, two[1])
    assert [row[1] for row in found] == ["done", "failed", "failed", "failed", "failed", "done"]
    assert found[1][2] == (
        "The server refuses it: the file is damaged or cut short: Invalid PNG data, size 900."
    )
    _, answer = single.predict({"instances": [b64(cmyk.read_bytes())]})
    assert found[2][2] == f"The server refuses it: {answer['error'].removeprefix('element 0: ')}."
    assert "components of this JPEG: 4" in found[2][2]
    assert found[3][2] == (
        "Of TIFFs this page reads grey and RGB of 8 or 16 bits; this one has 32 bits for a value: "
        "save it as a PNG."
    )
    assert found[4][2] == "This browser cannot read it as an image."
    assert text(page, "count") == "2 of 6 done, 4 refused"
    assert text(page, "message").startswith("6 of 6: second.png: nucleus ")
    assert text(page, "message").endswith("All ended: 2 of 6 done, 4 refused.")
    page.click("#list li:nth-child(3) button")  # what the browser can show of it, it shows
    wait_for(lambda: text(page, "title") == "cmyk.jpg" and shown(page, "view"))
    assert text(page, "said") == found[2][2]
    assert not shown(page, "legend")
    assert not shown(page, "save")


def test_the_counts_of_the_legend_are_those_of_numpy(page: Browser, single: Server, two: list[Path]):
    choose(page, two[0])
    mask = np.asarray(Image.open(io.BytesIO(single.mask(two[0].read_bytes()))))
    counts = [int((mask == value).sum()) for value in VALUES[1]]
    colors = ["rgb(0, 0, 0)", "rgb(230, 159, 0)", "rgb(86, 180, 233)"]
    objects = ["", *(object_count(mask == value, MIN_OBJECT_SIZE) for value in VALUES[1][1:])]
    assert legend(page) == [
        [name, f"{count:,}", f"{100 * count / mask.size:.2f}", f"{found}", color]
        for name, count, found, color in zip(CLASSES, counts, objects, colors, strict=True)
    ]
    told = "; ".join(
        f"{name} {100 * count / mask.size:.1f} %, {found} {'object' if found == 1 else 'objects'}"
        for name, count, found in list(zip(CLASSES, counts, objects, strict=True))[1:]
    )
    assert text(page, "message") == f"1 of 1: first.png: {told}."
    assert text(page, "served") == "unet, version 1"


def object_count(inside: NDArray[np.bool_], least: int) -> int:
    """Number of objects, as the pipeline counts them."""
    return int(predicted_objects(inside, ObjectRule(min_size=least)).max())


def test_the_table_of_all_images(page: Browser, single: Server, two: list[Path], tmp_path: Path):
    named = tmp_path / 'the "first", of two.png'
    two[0].rename(named)
    choose(page, named, two[1])
    set_to(page, "least", 2)
    page.download_to(tmp_path / "saved")
    page.click("#save-table")
    wait_for((tmp_path / "saved/classes.csv").is_file)
    with (tmp_path / "saved/classes.csv").open(newline="") as file:
        saved = list(csv.reader(file))
    expected = [["image", "class", "pixels", "percent", "objects", "min_object_size"]]
    for path in (named, two[1]):
        mask = np.asarray(Image.open(io.BytesIO(single.mask(path.read_bytes()))))
        for name, value in zip(CLASSES, VALUES[1], strict=True):
            inside = mask == value
            objects = "" if name == "background" else f"{object_count(inside, 2)}"
            percent = f"{100 * inside.mean():.4f}"
            expected.append([path.name, name, f"{inside.sum()}", percent, objects, "2"])
    assert saved == expected
    shown_counts = [row[3] for row in legend(page)]
    assert shown_counts == [row[4] for row in expected[1:4]]
    assert text(page, "message") == "The table has 2 images."
    assert page.errors() == []


def test_a_model_without_a_card_has_values_for_names(page: Browser, server: Server, two: list[Path]):
    page.open(server.url)
    choose(page, two[0])
    mask = np.asarray(Image.open(io.BytesIO(server.mask(two[0].read_bytes()))))
    assert [row[:2] for row in legend(page)] == [
        [f"value {value}", f"{(mask == value).sum():,}"] for value in np.unique(mask)
    ]


def test_a_busy_server_is_asked_again(page: Browser, single: Server, two: list[Path]):
    def refusals() -> float:
        found = re.search(r'^serving_requests_total\{.*status="503"\} (\S+)', single.get("/metrics"), re.M)
        return float(found[1]) if found else 0.0

    before = refusals()
    with raw(single, head(len(SLOW)) + SLOW.encode()):  # nobody else is let in meanwhile
        wait_for(lambda: "\nserving_predictions_running 1.0" in single.get("/metrics"))
        page.type("#file", "\n".join(map(str, two)))
        wait_for(lambda: rows(page)[:1] and "busy" in rows(page)[0][2])
        assert [row[1] for row in rows(page)] == ["running", "waiting"]
        assert rows(page)[0][2] == "The server is busy: asking again in 1 s."
        assert refusals() > before
    assert [row[1] for row in ended(page, 2)] == ["done", "done"]


def test_cancel_and_try_again(page: Browser, single: Server, two: list[Path]):
    with raw(single, head(len(SLOW)) + SLOW.encode()):
        wait_for(lambda: "\nserving_predictions_running 1.0" in single.get("/metrics"))
        page.type("#file", "\n".join(map(str, two)))
        wait_for(lambda: rows(page)[:1] and "busy" in rows(page)[0][2])
        page.click("#cancel")
        assert [row[1:] for row in ended(page, 2)] == [["cancelled", "Cancelled."]] * 2
    assert text(page, "count") == "0 of 2 done, 2 cancelled"
    page.click("#again")
    assert [row[1] for row in ended(page, 2)] == ["done", "done"]
    page.click("#clear")
    assert rows(page) == []
    assert not shown(page)
    assert page.run("return document.activeElement.id") == "file"


def test_a_server_that_does_not_answer(page: Browser, two: list[Path]):
    page.offline(True)
    try:
        assert [row[1:] for row in choose(page, *two)] == [["failed", "The server does not answer."]] * 2
        assert text(page, "served") == "The server does not answer."
    finally:
        page.offline(False)
    page.click("#again")
    assert [row[1] for row in ended(page, 2)] == ["done", "done"]
    assert text(page, "served") == "unet, version 1"


def test_a_folder_and_its_folders(page: Browser, two: list[Path], tmp_path: Path):
    folder = tmp_path / "plate"
    for name in ("well 10", "well 2", ".hidden"):
        (folder / name).mkdir(parents=True)
        (folder / name / "first.png").write_bytes(two[0].read_bytes())
    (folder / "notes.txt").write_text("no image")
    page.type("#folder", str(folder))
    assert [row[:2] for row in ended(page, 2)] == [
        ["plate/well 2/first.png", "done"],
        ["plate/well 10/first.png", "done"],
    ]
    assert page.run("return document.getElementById('save').download") == "plate_well 2_first-mask.png"


def test_dropped_and_pasted_files(page: Browser):
    script = """
        const transfer = new DataTransfer();
        for (const name of arguments[1]) transfer.items.add(new File([new Uint8Array(arguments[0])], name));
        const details = { bubbles: true, cancelable: true };
        document.getElementById("drop").dispatchEvent(arguments[2] === "drop"
            ? new DragEvent("drop", { ...details, dataTransfer: transfer })
            : new ClipboardEvent("paste", { ...details, clipboardData: transfer }));
    """
    image = list(encoded(noise(20, 20)))
    page.run(script, image, ["one.png", "two.png"], "drop")
    assert [row[:2] for row in ended(page, 2)] == [["one.png", "done"], ["two.png", "done"]]
    page.run(script, image, ["pasted.png"], "paste")
    assert ended(page, 3)[2][:2] == ["pasted.png", "done"]
    assert text(page, "title") == "one.png"  # what is looked at stays


def test_what_the_model_does_not_take_is_sent_as_plain_rgb(page: Browser, single: Server, tmp_path: Path):
    rgb = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    path = tmp_path / "transparent.png"
    path.write_bytes(encoded(np.dstack([rgb, np.full((30, 50), 255, np.uint8)])))
    assert choose(page, path)[0][2].endswith(" It was sent as an RGB PNG, without transparency.")
    mask = np.asarray(Image.open(io.BytesIO(single.mask(encoded(rgb)))))
    assert [row[1] for row in legend(page)] == [f"{(mask == value).sum():,}" for value in VALUES[1]]


def test_a_tiff_is_sent_as_a_png_of_its_values(page: Browser, single: Server, tmp_path: Path):
    image = noise(30, 50).astype(np.uint16) * 199
    path, cut, packed = (tmp_path / name for name in ("stack.tif", "cut.tif", "packed.tif"))
    tifffile.imwrite(path, np.stack([image, image // 2]), photometric="minisblack")
    cut.write_bytes(path.read_bytes()[:900])
    Image.fromarray(noise(8, 8)).save(packed, compression="tiff_lzw")
    damaged = bytearray(packed.read_bytes())
    damaged[8:20] = bytes(range(250, 238, -1))  # its words are not
    packed.write_bytes(damaged)
    found = choose(page, path, cut, packed)
    assert found[0][2].endswith(" It was sent as a PNG of the same values, the first of 2 pages.")
    mask = np.asarray(Image.open(io.BytesIO(single.mask(encoded(image)))))
    assert [row[1] for row in legend(page)] == [f"{(mask == value).sum():,}" for value in VALUES[1]]
    assert [row[2] for row in found[1:]] == ["The TIFF is damaged or cut short."] * 2


def test_the_order_of_the_focus(page: Browser, two: list[Path]):
    choose(page, *two)
    page.run("document.activeElement.blur()")
    focused = []
    for _ in range(18):
        page.press(TAB)
        focused.append(
            page.run(
                "const at = document.activeElement; return at.id || at.name || at.textContent || at.type"
            )
        )
    assert focused == [
        "file", "folder", "save-all", "save-table", "clear", "first.png done", "view", "opacity",
        "contrast", "view", "out", "in", "fit", "actual", "checkbox", "checkbox", "least", "save",
    ]  # fmt: skip


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Browser, two: list[Path]):
    choose(page, *two)
    unnamed = page.run(
        """
        return [...document.querySelectorAll("button, input, select, canvas, progress, a, table, section")]
            .filter((each) => each.checkVisibility() && !each.closest("[aria-hidden=true]"))
            .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length ||
                document.getElementById(each.getAttribute("aria-labelledby"))?.textContent))
            .map((each) => each.outerHTML);
        """
    )
    assert unnamed == []
    live = page.run("const at = document.getElementById('message'); return [at.role, at.ariaLive]")
    assert live == ["status", "polite"]
    assert page.run("return document.getElementById('view').ariaLabel") == "Overlay of first.png"


def test_nothing_comes_from_anywhere_else(page: Browser, single: Server):
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert {url.split("/")[2] for url in loaded if not url.startswith("data:")} == {
        f"127.0.0.1:{single.port}"
    }
    status, headers, _ = single.request("GET", "/", headers={"Accept": "text/html"})
    policy = headers["content-security-policy"].split("; ")
    assert status == 200
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= {*policy}
    assert "unsafe" not in headers["content-security-policy"]
    script = "const inline = document.createElement('script'); inline.textContent = 'window.ran = 1';"
    assert page.run(f"{script} document.body.append(inline); return window.ran ?? null") is None
