"""Draws street scenes with ground truth of eleven classes, as a camera behind a windscreen sees them.

    python benchmarks/street.py FOLDER --images 100

Stands in for sets of photographs that cannot be bundled: an up and a down, a road in perspective, large
classes (sky, road, building) beside rare and thin ones (pole, sign, pedestrian, cyclist), the light of
another hour in each image, shadows, noise, and void between the classes. Masks hold the numbers of the
classes, and 255 for void; `masks/classes.txt` names them.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist",
)  # fmt: skip
WIDTH, HEIGHT = 480, 360
VOID = 255
Color = tuple[int, int, int]
Points = list[tuple[float, float]]


class Scene:
    """An image and its mask, drawn from the back to the front.

    Attributes:
        image: the picture, RGB.
        mask: number of the class of each pixel.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = Image.new("RGB", (WIDTH, HEIGHT))
        self.mask = Image.new("L", (WIDTH, HEIGHT))
        self.horizon = HEIGHT * rng.uniform(0.36, 0.52)
        self.vanishing = WIDTH * rng.uniform(0.3, 0.7)
        self.half_road = WIDTH * rng.uniform(0.35, 0.6)  # half the road's width at the lower rim
        self._draw, self._label = ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask)

    def polygon(self, label: str, points: Points, color: Color) -> None:
        """Draws a polygon of a class."""
        self._draw.polygon(points, fill=color)
        self._label.polygon(points, fill=CLASSES.index(label))

    def box(self, label: str, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Draws a rectangle of a class; x is its middle, y its lower rim."""
        left, top = x - width / 2, y - height
        self.polygon(label, [(left, top), (left + width, top), (left + width, y), (left, y)], color)

    def ellipse(self, label: str, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Draws an ellipse of a class around a middle."""
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        self._draw.ellipse(box, fill=color)
        self._label.ellipse(box, fill=CLASSES.index(label))

    def at(self, across: float, depth: float) -> tuple[float, float]:
        """Where a point of the ground is seen: across in half roads from its middle, depth from 0 to 1."""
        near = 1 - depth
        return self.vanishing + across * self.half_road * near, self.horizon + (HEIGHT - self.horizon) * near

    def color(self, low: int, high: int, tint: int = 15) -> Color:
        """A color of about one brightness."""
        base = self.rng.integers(low, high)
        red, green, blue = np.clip(base + self.rng.integers(-tint, tint + 1, 3), 0, 255).tolist()
        return red, green, blue


def draw(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws one scene: its image, uint8 [H, W, 3], and its class numbers, uint8 [H, W]."""
    scene = Scene(rng)
    backdrop(scene)
    ground(scene)
    for depth in sorted(rng.uniform(0.0, 0.85, rng.integers(8, 15)), reverse=True):
        something(scene, float(depth))
    return finished(scene)


def backdrop(scene: Scene) -> None:
    """Draws the sky, and houses and trees along the road, the far ones first."""
    rng = scene.rng
    top, low = np.array(scene.color(120, 230, 25)), np.array(scene.color(170, 250, 10))
    for row in range(HEIGHT):
        shade = (top + (low - top) * min(1, row / scene.horizon)).astype(int)
        red, green, blue = shade.tolist()
        scene.polygon("sky", [(0, row), (WIDTH, row), (WIDTH, row + 1), (0, row + 1)], (red, green, blue))
    for depth in np.linspace(0.95, 0.1, 12):
        for side in (-1, 1):
            x, y = scene.at(side * rng.uniform(2.0, 2.6), depth)
            size = (1 - depth) * HEIGHT
            if rng.random() < 0.62:
                house(
                    scene,
                    x + side * size * 0.5,
                    y,
                    size * rng.uniform(0.8, 1.2),
                    size * rng.uniform(0.8, 1.9),
                )
            elif rng.random() < 0.8:
                tree(scene, x, y, size * rng.uniform(0.9, 1.4))


def house(scene: Scene, x: float, y: float, width: float, height: float) -> None:
    """Draws a house with rows of windows."""
    rng = scene.rng
    wall, pane = scene.color(70, 210, 35), scene.color(30, 200, 20)
    scene.box("building", x, y, width, height, wall)
    rows, columns = rng.integers(2, 6), rng.integers(2, 6)
    for row in range(rows):
        for column in range(columns):
            left = x - width / 2 + (column + 0.5) * width / columns
            lower = y - height + (row + 0.8) * height / rows
            scene.box("building", left, lower, width / columns * 0.5, height / rows * 0.55, pane)


def tree(scene: Scene, x: float, y: float, height: float) -> None:
    """Draws a trunk with a crown of leaves."""
    rng = scene.rng
    scene.box("tree", x, y, max(2, height * 0.06), height * 0.5, scene.color(40, 90, 10))
    green = rng.integers(60, 150)
    for _ in range(25):
        shade = int(green + rng.integers(-30, 30))
        color = (int(shade * rng.uniform(0.4, 0.8)), shade, int(shade * 0.4))
        dx, dy = rng.normal(0, height * 0.14, 2)
        size = height * rng.uniform(0.12, 0.28)
        scene.ellipse("tree", x + dx, y - height * 0.65 + dy, size, size, color)


def ground(scene: Scene) -> None:
    """Draws pavement and road with its markings, and a fence at some sides."""
    rng = scene.rng
    pavement, road = scene.color(95, 175, 12), scene.color(55, 120, 8)
    for inner, outer, label, color in ((-9, 9, "pavement", pavement), (-1, 1, "road", road)):
        corners = [scene.at(inner, 0), scene.at(inner, 0.97), scene.at(outer, 0.97), scene.at(outer, 0)]
        scene.polygon(label, corners, color)
    white = scene.color(180, 245, 5)
    for start in np.arange(0.0, 0.9, 0.12):
        ends = [scene.at(dx, depth) for dx, depth in ((-0.02, start), (-0.02, start + 0.05))]
        ends += [scene.at(dx, depth) for dx, depth in ((0.02, start + 0.05), (0.02, start))]
        scene.polygon("road", ends, white)
    for side in (-1, 1):
        if rng.random() < 0.45:
            fence(scene, side * rng.uniform(1.5, 1.9), scene.color(60, 170, 25))


def fence(scene: Scene, across: float, color: Color) -> None:
    """Draws posts and rails along the road; the gaps between them are fence, too."""
    posts = [(*scene.at(across, depth), 0.13 * (1 - depth) * HEIGHT) for depth in np.arange(0.05, 0.8, 0.05)]
    for (x, y, height), (x2, y2, height2) in itertools.pairwise(posts):
        scene.polygon("fence", [(x, y - height), (x2, y2 - height2), (x2, y2), (x, y)], color)
        scene.box("fence", x, y, max(1, height * 0.08), height, scene.color(40, 90, 5))


def something(scene: Scene, depth: float) -> None:
    """Draws a car, a person, a cyclist, a pole or a sign at a depth."""
    rng = scene.rng
    size = (1 - depth) * HEIGHT
    side = rng.choice([-1, 1])
    kind = rng.choice(["car", "pedestrian", "cyclist", "pole", "sign"], p=[0.3, 0.22, 0.1, 0.23, 0.15])
    x, y = scene.at(
        side * (rng.uniform(0.25, 0.9) if kind in ("car", "cyclist") else rng.uniform(1.1, 1.8)), depth
    )
    if kind == "car":
        body, glass = scene.color(20, 230, 60), scene.color(30, 110, 10)
        scene.box("car", x, y - size * 0.03, size * 0.34, size * 0.13, body)
        scene.box("car", x, y - size * 0.15, size * 0.25, size * 0.09, glass)
        for dx in (-0.1, 0.1):
            scene.ellipse("car", x + dx * size, y - size * 0.03, size * 0.07, size * 0.07, (25, 25, 28))
    elif kind == "pole":
        scene.box("pole", x, y, max(2, size * 0.02), size * 0.9, scene.color(50, 160, 10))
    elif kind == "sign":
        scene.box("pole", x, y, max(2, size * 0.018), size * 0.45, scene.color(90, 170, 8))
        color = [(190, 30, 40), (30, 60, 170), (220, 190, 40)][rng.integers(3)]
        scene.ellipse("sign", x, y - size * 0.45, size * 0.09, size * 0.09, color)
        scene.ellipse("sign", x, y - size * 0.45, size * 0.05, size * 0.05, (235, 235, 235))
    else:
        if kind == "cyclist":
            for dx in (-0.07, 0.07):
                scene.ellipse(kind, x + dx * size, y - size * 0.05, size * 0.1, size * 0.1, (40, 40, 40))
        lift = size * (0.06 if kind == "cyclist" else 0)
        scene.box(kind, x, y - lift, size * 0.055, size * 0.13, scene.color(20, 110, 30))
        scene.box(kind, x, y - lift - size * 0.11, size * 0.08, size * 0.12, scene.color(30, 230, 60))
        scene.ellipse(kind, x, y - lift - size * 0.26, size * 0.05, size * 0.06, scene.color(110, 200, 20))


def finished(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Adds void between the classes, texture, shadows, the light of the hour, blur and noise."""
    rng = scene.rng
    mask = np.asarray(scene.mask).copy()  # [H, W]
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    texture = sum(
        np.asarray(
            Image.fromarray(rng.normal(0, 1, (HEIGHT // step, WIDTH // step)).astype(np.float32)).resize(
                (WIDTH, HEIGHT), Image.Resampling.BILINEAR
            )
        )
        for step in (2, 6, 20)
    )  # [H, W]
    pixels = np.asarray(scene.image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0))), np.float32)
    strength = np.where(mask == CLASSES.index("sky"), 4, rng.uniform(6, 12))
    pixels = pixels + (strength * texture)[..., None]  # [H, W, 3]
    left, width = rng.uniform(0, WIDTH), rng.uniform(60, 240)
    columns = np.arange(WIDTH) + np.arange(HEIGHT)[:, None] * rng.uniform(-0.7, 0.7)
    shadow = (abs(columns - left) < width / 2) & (np.arange(HEIGHT)[:, None] > scene.horizon)
    pixels = np.where(shadow[..., None], pixels * rng.uniform(0.45, 0.75), pixels)
    light = rng.uniform(0.55, 1.15) * rng.uniform(0.9, 1.1, 3)
    pixels = 255 * (np.clip(pixels * light, 0, 255) / 255) ** rng.uniform(0.8, 1.25)
    pixels += rng.normal(0, rng.uniform(2, 7), pixels.shape)
    mask[edge] = VOID
    return pixels.clip(0, 255).astype(np.uint8), mask


def write(folder: Path, count: int, seed: int = 0) -> None:
    """Writes images, masks and the names of the classes into a folder; image i is the same for any count."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels, mask = draw(np.random.default_rng([seed, i]))
        Image.fromarray(pixels).save(folder / f"images/street_{i:04d}.png")
        Image.fromarray(mask).save(folder / f"masks/street_{i:04d}.png")
    (folder / "masks/classes.txt").write_text("\n".join(CLASSES))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    write(options.folder, options.images)
