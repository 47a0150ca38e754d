"""Predicts masks of images with exported models, for Python and for the command `predict`.

    from unet.inference.model import predict

    masks = predict(["a.png", array], "runs/serving/unet/1795557723")

TensorFlow is imported when a model is loaded, not before.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet.images.channels import fits, is_stacked, stored_rows
from unet.images.formats import count_pages
from unet.images.raster import ImageError
from unet.images.reader import decode, encode_image
from unet.inference import tiled
from unet.inference.inputs import InputImage, read, scaled
from unet.inference.large_tiff import LARGE_PIXELS
from unet.inference.scratch import scratch_array
from unet.registry.decision import decision_of, scores
from unet.registry.records import _NEEDED, ModelError, common_record, training_record

Source = str | Path | bytes | NDArray[Any]
Progress = Callable[[float], None]
_ADVICE = "cut it into parts"  # images that are not canonical were refused before


@dataclass(frozen=True)
class Segmented:
    """The prediction of an image; the arrays of a large image lie on disk.

    Attributes:
        indices: class index of each pixel, uint8 [H, W].
        maps: probabilities as round(65535 p), uint16 [classes, H, W]; None unless requested.
    """

    indices: NDArray[np.uint8]
    maps: NDArray[np.uint16] | None


class Model:
    """One exported model, or several whose probabilities are averaged."""

    def __init__(self, *folders: str | Path, scratch: Path | None = None):
        """Loads the models.

        Args:
            folders: folders of SavedModels.
            scratch: folder for large temporary files; None: the system's temporary folder.

        Raises:
            ModelError: a model cannot be loaded, or the models cannot be averaged.
        """
        paths = [Path(folder) for folder in folders]
        for path in paths:
            if not (path / "saved_model.pb").is_file():
                raise ModelError(f"{path}: not a SavedModel: give the folder that holds saved_model.pb")
        self.record = common_record(paths)
        self._records = [training_record(path) for path in paths]
        self._decision = decision_of(self._records)
        self._scratch = scratch
        tf = _tensorflow()
        self._errors = tf.errors.OpError
        # The loaded objects must stay alive as long as their signatures are called.
        self._loaded, self._signatures = [], []
        for path in paths:
            try:
                self._loaded.append(tf.saved_model.load(str(path)))
                self._signatures.append(dict(self._loaded[-1].signatures))
                self._signatures[-1]["serving_default"]
            except Exception as error:  # TensorFlow and Protobuf raise many kinds
                message = f"{path}: not a model of this pipeline, or a damaged one: {error}"
                raise ModelError(message) from error

    def read(self, source: str | Path | bytes, page: int = 0, large: bool | None = None) -> InputImage:
        """Reads an image as the training did; arguments and errors as for `unet.inference.inputs.read`.

        Raises:
            ImageError: the image cannot be used, or has another number of channels than the model's input.
        """
        how = {key: self.record.get(key) for key in ("value_range", "use_channels")}
        picture = read(source, page, scratch=self._scratch, large=large, **how)
        needed = self.record.get("channels", 1)
        if picture.encoded is not None and not fits(picture.channels, needed):
            found = f"an image of {picture.channels} channels, the model sees {needed}"
            raise ImageError(found, "give images of the channels that the model was trained on")
        return picture

    def serves(self, picture: InputImage) -> bool:
        """Whether the exported graph can predict the image whole, as on a server; else use `segment`."""
        most = min(self.record.get("max_pixels", LARGE_PIXELS), LARGE_PIXELS)
        rows = stored_rows(picture.height, picture.channels)
        small = picture.encoded is not None and rows * picture.width <= most
        return len(self._signatures) == 1 and small

    def served_mask(self, picture: InputImage) -> bytes:
        """The mask of an image that the model `serves`: PNG of class values, as from a server.

        Raises:
            ImageError: the model refuses the image.
        """
        return bytes(self._serve("serving_default", picture)["mask_bytes"][0].numpy())

    def served_probabilities(self, picture: InputImage) -> list[bytes]:
        """Probabilities of an image that the model `serves`: a grey PNG of 16 bits for each class."""
        maps = self._serve("probabilities", picture)["probabilities_bytes"][0]
        return [bytes(data) for data in maps.numpy()]

    def evaluated(self, image: bytes, mask: bytes) -> dict[str, Any]:
        """Predicts an image with its ground truth, of any size, by the signature of the gate.

        Args:
            image: canonical bytes of the image, see `unet.images.reader`.
            mask: PNG of the class index of each pixel.

        Returns:
            The outputs of the signature `evaluate`, see `unet.export.signatures`, as arrays without the axis
            of the batch.

        Raises:
            ModelError: the model has no such signature.
            ImageError: the model refuses the image.
        """
        import tensorflow as tf

        evaluate = self._signatures[0].get("evaluate")
        if evaluate is None or "threshold" in evaluate.structured_outputs:
            found = "the model has no signature `evaluate` that this version knows"
            raise ModelError(f"{found}: export it by a run of this version")
        given = {"image": image, "mask": mask}
        feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in given.items()}
        example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        try:
            outputs = evaluate(examples=tf.constant([example]))
        except self._errors as error:
            raise ImageError(f"the model cannot answer ({error.message})", _ADVICE) from error
        return {name: values[0].numpy() for name, values in outputs.items()}

    def segment(
        self, picture: InputImage, probabilities: bool = False, progress: Progress = lambda share: None
    ) -> Segmented:
        """Predicts classes, and optionally probabilities, of an image of any size, in bounded memory.

        Args:
            picture: image that `read` returned.
            probabilities: whether the result contains `maps`.
            progress: called with the share of the work that is done, 0 to 1.

        Raises:
            ImageError: the disk has no room for temporary files, or the model has no training record.
        """
        shape, classes = (picture.height, picture.width), len(self._networks()[0].record["classes"])
        indices = scratch_array(shape, np.uint8, self._scratch)
        maps = scratch_array((classes, *shape), np.uint16, self._scratch) if probabilities else None
        for top, left, block in self._blocks(picture, progress):
            bottom, right = top + block.shape[0], left + block.shape[1]
            indices[top:bottom, left:right] = scores(block, self._decision).argmax(-1)
            if maps is not None:
                maps[:, top:bottom, left:right] = np.moveaxis(np.rint(block * 65535), -1, 0)
        return Segmented(indices, maps)

    def mask(self, image: Source) -> NDArray[Any]:
        """Predicts the mask of an image: class values, [H, W], or colours, [H, W, 3].

        Args:
            image: a path, the bytes of a file, or an array [H, W] or [H, W, 3], or [H, W, channels] for a
                model of other channels. Values of other types than uint8 and uint16 need a model that was
                trained with a `value_range`, and are read by it.

        Raises:
            ImageError: the image cannot be used.
            ValueError: an array has another shape or type.
        """
        picture = self.picture(image)
        if self.serves(picture):
            mask = decode(self.served_mask(picture))
            return mask[..., 0] if mask.shape[-1] == 1 else mask
        return self.values[self.segment(picture).indices]

    def probabilities(self, image: Source) -> NDArray[np.float32]:
        """Predicts the probabilities of all classes, [H, W, classes], of an image as for `mask`."""
        picture = self.picture(image)
        classes = len(self._networks()[0].record["classes"])
        found = np.empty((picture.height, picture.width, classes), np.float32)
        for top, left, block in self._blocks(picture, lambda share: None):
            found[top : top + block.shape[0], left : left + block.shape[1]] = block
        return found

    @property
    def values(self) -> NDArray[Any]:
        """Value of each class in a mask: [classes], or [classes, 3] for colours; uint8 or uint16."""
        return class_values(self.record)

    def picture(self, image: Source) -> InputImage:
        """Reads a path or the bytes of a file, or checks an array; arguments and errors as for `mask`."""
        if isinstance(image, np.ndarray):
            if image.ndim == 3 and image.shape[-1] == 1 and not is_stacked(self.record.get("channels", 1)):
                image = image[..., 0]
            channels = self.record.get("channels", 1)
            needed = channels if is_stacked(channels) else 3
            gray = image.ndim == 2 and not is_stacked(channels)
            if image.dtype.kind not in "uif" or not (gray or (image.ndim == 3 and image.shape[-1] == needed)):
                shapes = ("" if is_stacked(channels) else "[H, W] or ") + f"[H, W, {needed}]"
                raise ValueError(
                    f"An image must be an array of numbers, {shapes}. "
                    f"Received: dtype={image.dtype}, shape={image.shape}"
                )
            if not image.size:
                raise ValueError(f"An image has at least one pixel. Received: shape={image.shape}")
            height, width = image.shape[:2]
            alone = len(self._signatures) == 1 and height * width <= LARGE_PIXELS
            image = image.reshape(height, width, -1)
            if image.dtype not in (np.uint8, np.uint16):
                image = scaled(image, self.record.get("value_range"))
            return InputImage(height, width, encode_image(image) if alone else None, image, image.shape[-1])
        if not isinstance(image, bytes) and count_pages(image) > 1:
            raise ImageError("a file of several pages", "give each page as an array (tifffile.imread)")
        return self.read(image)

    def _blocks(self, picture: InputImage, progress: Progress) -> Iterator[tiled.Block]:
        try:
            yield from tiled.probabilities(self._networks(), picture.pixels, self._scratch, progress)
        except self._errors as error:
            raise ImageError(f"the model cannot answer ({error.message})", _ADVICE) from error

    def _networks(self) -> list[tiled.NetworkSignature]:
        if any(key not in self.record for key in _NEEDED):
            found = "the model has no training record of this pipeline, which images of this size need"
            raise ImageError(found, "export it again, or cut the image into parts")
        pairs = zip(self._signatures, self._records, strict=True)
        return [tiled.NetworkSignature(signatures["network"], record) for signatures, record in pairs]

    def _serve(self, signature: str, picture: InputImage) -> Mapping[str, Any]:
        import tensorflow as tf

        try:
            return self._signatures[0][signature](image_bytes=tf.constant([picture.encoded]))
        except self._errors as error:
            raise ImageError(f"the model cannot answer ({error.message})", _ADVICE) from error


def class_values(record: Mapping[str, Any]) -> NDArray[Any]:
    """Value of each class in a mask by a training record, in the form of `Model.values`."""
    values = np.asarray(record["class_values"])
    return values.astype(np.uint8 if values.max() < 256 else np.uint16)


def class_indices(mask: NDArray[Any], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Class index of each pixel, [H, W], of a mask [H, W, 1 or 3] with these `class_values`.

    Raises:
        ImageError: the mask holds values of no class.
    """
    indices, found = np.zeros(mask.shape[:2], np.uint8), np.zeros(mask.shape[:2], bool)
    for index, value in enumerate(values.reshape(len(values), -1)):
        here = (mask == value).all(-1)
        indices[here] = index
        found |= here
    if not found.all():
        raise ImageError("a mask with values of no class", "predict it again, with --overwrite")
    return indices


def predict(images: Iterable[Source], model: str | Path | Sequence[str | Path] | Model) -> list[NDArray[Any]]:
    """Predicts the masks of images, equal to those that the model serves.

    Args:
        images: each a path, the bytes of a file, or a uint8 or uint16 array [H, W] or [H, W, 3]; their sizes
            may differ.
        model: folder of a SavedModel; several folders, whose probabilities are averaged; or a loaded `Model`.

    Returns:
        For each image an array of class values [H, W], or of colours [H, W, 3].

    Raises:
        ModelError: the model cannot be used.
        ImageError: an image cannot be used.
        ValueError: an array has another shape or type.
    """
    if isinstance(images, (str, Path, bytes, np.ndarray)):
        raise TypeError("predict takes a list of images: give [image]")
    if not isinstance(model, Model):
        model = Model(model) if isinstance(model, (str, Path)) else Model(*model)
    return [model.mask(image) for image in images]


def _tensorflow() -> Any:
    # The same environment as in run_pipeline.py, for callers from Python.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    return tf
