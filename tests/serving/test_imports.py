"""What the server leaves out of its libraries, and that they work without."""

from __future__ import annotations

import pytest

from tests.serving.running import PYTHON, answers

pytestmark = pytest.mark.server

CODE = """
import json, sys
from serving import imports

imports.leave_out()
import serving.server
import tensorflow as tf

said = {name: sys.modules.get(name) is not None for name in ("keras", "kubernetes", "kserve.model_server")}
said["sum"] = int(tf.function(lambda x: x + 1)(tf.constant(1)))
print(json.dumps(said))
"""


def test_neither_keras_nor_a_client_of_kubernetes_is_loaded():
    left_out = {"keras": False, "kubernetes": False, "kserve.model_server": False}
    assert answers(PYTHON, CODE) == {**left_out, "sum": 2}
