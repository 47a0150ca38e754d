"""The hostile set: every attack by its name."""

from __future__ import annotations

from tests.serving.hostile import connections, frames, image_files, json_texts, messages
from tests.serving.hostile.attack import Attack

MOST_MEMORY = 3 * 2**29  # bytes of the server of the tests, of which a tiny model and TensorFlow take 0.6 GiB
GROUPS: dict[str, list[Attack]] = {
    "Images": image_files.ATTACKS,
    "JSON": json_texts.ATTACKS,
    "HTTP": connections.ATTACKS,
    "gRPC": messages.ATTACKS + frames.ATTACKS,
}
