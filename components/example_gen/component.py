"""ImageMaskExampleGen: turns a folder of images and masks into tf.Examples in train, eval and test splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_beam_component, base_driver, executor_spec
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import component_spec, standard_artifacts
from tfx.types.channel import Channel

from components.example_gen.executor import Executor
from unet.dataset.plan import make_plan
from unet.dataset.settings import ReadSettings


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts the content of the data, and the split of each sample, into the cache key.

    TFX requires both base classes, the older one only when the component is defined.
    """

    def __init__(self, metadata_handle: metadata.Metadata):
        """Args: metadata_handle: the connection to ML Metadata."""
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Computes the fingerprint when the pipeline runs, not when it is compiled.

        Raises:
            BadInput: the folder holds no usable set of samples.
        """
        properties = execution_info.exec_properties
        settings = ReadSettings.model_validate_json(properties["settings"])
        plan = make_plan(Path(properties["input_base"]), settings)
        result = driver_output_pb2.DriverOutput()
        # The folder and the reading settings are not the content of the data: without them in the key, a
        # moved folder or a setting without effect finds its examples in the cache. All properties that TFX
        # passes to the executor are part of the key, even those of the output: so the executor gets both from
        # a file.
        source = {"folder": properties["input_base"], "settings": properties["settings"]}
        Path(properties["source_file"]).write_text(json.dumps(source), encoding="utf-8")
        for key, value in {"input_base": "", "settings": "", "fingerprint": plan.fingerprint}.items():
            data_types_utils.set_metadata_value(result.exec_properties[key], value)
        artifact = result.output_artifacts["examples"].artifacts.add()
        artifact.CopyFrom(execution_info.output_dict["examples"][0].mlmd_artifact)
        artifact.custom_properties["fingerprint"].string_value = plan.fingerprint
        return result


class ImageMaskExampleGenSpec(component_spec.ComponentSpec):
    """Inputs, outputs and parameters of `ImageMaskExampleGen`."""

    PARAMETERS = {
        "input_base": component_spec.ExecutionParameter(type=str),
        "settings": component_spec.ExecutionParameter(type=str),
        "source_file": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, Any] = {}
    OUTPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class ImageMaskExampleGen(base_beam_component.BaseBeamComponent):
    """Writes one tf.Example per image: encoded image, mask of class indices, scalars that describe both."""

    SPEC_CLASS = ImageMaskExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, input_base: str, settings: ReadSettings, source_file: str):
        """Declares the component.

        Args:
            input_base: folder with the data.
            settings: how the files are read, grouped and split.
            source_file: file by which the driver passes the folder and the settings to the executor.
        """
        super().__init__(
            ImageMaskExampleGenSpec(
                input_base=input_base,
                settings=settings.model_dump_json(),
                source_file=source_file,
                examples=Channel(type=standard_artifacts.Examples),
            )
        )
