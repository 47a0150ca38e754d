"""Settings of a training that takes a second, and of tiles that are cut from images of all sizes."""

from unet.preprocessing.settings import TileSettings
from unet.tiling import Geometry
from unet.training.settings import TrainSettings

SETTINGS = TrainSettings(
    classes={"background": 0, "cell": 255}, decoder="paper", base_filters=2, depth=2, dropout=0.1,
    patch_size=72, batch_size=2, steps=120, minutes=None, validate_every=60, patience=0,
    loss={"cross_entropy": 1.0}, class_weights="none", border_weight=0.0, border_sigma=5.0,
    optimizer="adam", momentum=0.9, weight_decay=0.004, clip=0.0, learning_rate=3e-3, schedule="cosine",
    precision="float32", flip="both", quarter_turns=True,
    spatial_augment_prob=0.2, rotation=180.0, zoom=0.1, elastic_sigma=2.0, brightness_contrast=0.1,
    oversample_rare=0.2, normalize="dataset",
    deterministic=False, seed=5, ignore=None, value_range=None, scale=1.0,
)  # fmt: skip

GEOMETRY = Geometry(4)

SIZES = {"tiny": (1, 1), "strip": (3, 150), "small": (60, 17), "large": (90, 171)}

TILES = TileSettings(
    image_channels=1,
    class_count=2,
    with_border=True,
    depth=4,
    normalize="dataset",
    patch_size=204,
    tile_stride=64,
)
