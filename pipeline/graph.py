"""The graph of components, in the order of the data; other orchestrators run its stages, see `stages.py`.

Where Beam works is no part of it, nor of the keys of the cache: see `pipeline.engine`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import transform_pb2
from tfx.types.channel import Channel
from tfx.types.standard_artifacts import ExampleStatistics, Model, ModelBlessing
from tfx.utils import json_utils

from components import schema
from components.distribution import DistributionValidator
from components.evaluator.component import Evaluator
from components.example_gen.component import ImageMaskExampleGen
from components.infra_validator.component import InfraValidator
from components.pusher import Pusher
from components.resolvers.baseline import BlessedBaselineStrategy
from components.resolvers.statistics import BlessedStatisticsStrategy
from components.resolvers.warm_start import WarmStartStrategy
from components.statistics import StatisticsGen
from components.trainer import Trainer
from components.transform import Transform
from components.tuner import Tuner
from pipeline.config.settings import PipelineConfig
from pipeline.engine.settings import Engine
from pipeline.history.warm_start import named_start
from pipeline.metadata.place import connection, pipeline_name
from pipeline.metadata.settings import Metadata
from pipeline.process.settings import Limits
from pipeline.publishing.settings import Publishing
from pipeline.root import Root
from unet.dataset.sample import SERVING
from unet.dataset.settings import Drift
from unet.evaluation.settings import GateSettings
from unet.export.settings import ExportSettings
from unet.fingerprint import fingerprint
from unet.preprocessing.settings import TileSettings
from unet.registry.model_card import license_of
from unet.training.search_settings import TuneSettings
from unet.training.settings import LAST_BLESSED, TrainSettings

# Parameter of the graph: the id of the run, of which TFX's own name of the run may be longer.
RUN_ID = "run-id"

# Memory of a process that serves an exported model, without the current tile: TensorFlow, the weights and the
# largest test image.
_SERVER_GIGABYTES = 1.5


def create_pipeline(
    config: PipelineConfig, root: Root, skip: list[str] | None = None, rebaseline: bool = False
) -> Pipeline:
    """Creates the TFX pipeline of a configuration.

    Args:
        config: the configuration, with `channels` resolved to a number.
        root: root folder for all outputs of the pipeline.
        skip: names of samples to leave out, see `unet.dataset.settings.ReadSettings`.
        rebaseline: whether to skip the comparison with the last blessed model.

    Raises:
        BadInput: the model that `warm_start` names cannot be started from.
    """
    classes = list(config.classes)

    # Images and masks -> tf.Examples in train, eval and test; the cache key holds their content.
    examples = ImageMaskExampleGen(
        input_base=str(config.data.absolute()),
        settings=config.reading(root.splits, skip),
        source_file=str(root.source),
    )

    # Statistics of scalars that describe each image -> schema -> anomalies stop the run.
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    inferred = schema.SchemaGen(statistics=statistics.outputs["statistics"], exclude_splits=[SERVING])
    validator = schema.ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=inferred.outputs["schema"],
        exclude_splits=[SERVING],
    )

    # The same images, compared with those of the last blessed model and those in service.
    blessed_data = Resolver(
        strategy_class=BlessedStatisticsStrategy,
        current=statistics.outputs["statistics"],
        baseline=Channel(type=ExampleStatistics),
        blessing=Channel(type=ModelBlessing),
    ).with_id("BlessedStatistics")
    distribution = DistributionValidator(
        statistics=statistics.outputs["statistics"],
        baseline=blessed_data.outputs["baseline"],
        settings=Drift.of(config).model_dump_json(),
    )

    # Normalisation constants of the training split, and tiles. The test split is not read here.
    tiles = TileSettings.of(
        config,
        image_channels=config.channels,
        class_count=len(classes),
        with_border=config.border_weight > 0,
    )
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=inferred.outputs["schema"],
        preprocessing_fn="components.transform.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        custom_config={"tiles": tiles.model_dump_json()},
        disable_statistics=True,
    )
    transform.add_upstream_nodes([validator, distribution])

    # Encoded here: TFX would sort the keys, and the order of the classes is their index.
    train = TrainSettings.of(config).model_dump_json()
    components: list[Any] = [examples, statistics, inferred, validator, blessed_data, distribution, transform]

    # The learning rate and the settings of `tune_over`: searched on the eval split, or reused.
    trained_on = {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
    }
    if config.tune != "never":
        tuner = Tuner(
            tuner_fn="components.tuner.tuner_fn",
            **trained_on,
            custom_config={
                "train": train,
                "checkpoints": str(root.checkpoints),
                "search": TuneSettings.of(config).model_dump_json(),
                "pushed": str(root.serving),
            },
        )
        trained_on["hyperparameters"] = tuner.outputs["best_hyperparameters"]
        components.append(tuner)

    # The trained network, exported with normalisation and tiling inside.
    custom_config = {
        "train": train,
        "tune_over": json.dumps({} if config.tune == "never" else config.tune_over),
        "export": ExportSettings.of(config).model_dump_json(),
        "checkpoints": str(root.checkpoints),
        **named_start(config, root),
    }
    base_model = None
    if config.warm_start == LAST_BLESSED:
        start = Resolver(
            strategy_class=WarmStartStrategy,
            config={"custom_config": json_utils.dumps(custom_config)},
            model=Channel(type=Model),
            blessing=Channel(type=ModelBlessing),
            **trained_on,
        ).with_id("WarmStart")
        base_model = start.outputs["model"]
        components.append(start)
    trainer = Trainer(
        run_fn="components.trainer.run_fn",
        custom_config=custom_config,
        base_model=base_model,
        **trained_on,
    )

    # The gate evaluates the exported model and the last blessed one on whole images of the test split.
    baseline = Resolver(
        strategy_class=BlessedBaselineStrategy,
        candidate=trainer.outputs["model"],
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
    ).with_id("BlessedBaseline")
    gate = Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        settings=GateSettings.of(config, class_names=classes, first=config.first_foreground),
        rebaseline=rebaseline,
    )

    # A fresh process serves real images; then the model is deployed, completely or not at all.
    infra = InfraValidator(
        model=trainer.outputs["model"],
        examples=examples.outputs["examples"],
        model_run=trainer.outputs["model_run"],
        images=3,
        timeout=300 * (8 if config.test_time_augmentation else 1),
        memory=round(1000 * (config.serving_memory + _SERVER_GIGABYTES)),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=gate.outputs["blessing"],
        infra_blessing=infra.outputs["blessing"],
        evaluation=gate.outputs["evaluation"],
        examples=examples.outputs["examples"],
        folder=str(root.serving),
        facts=json.dumps(_facts(config)),
        run=RuntimeParameter(RUN_ID, str),
    )
    return Pipeline(
        pipeline_name=pipeline_name(root),
        pipeline_root=str(root.artifacts),
        components=[*components, trainer, baseline, gate, infra, pusher],
        enable_cache=True,
        metadata_connection_config=connection(root),
    )


def _facts(config: PipelineConfig) -> dict[str, str]:
    """Returns the facts of the model card that no artifact holds."""
    # Paths are private, and limits change no model, nor does where Beam works or what else learns of it.
    left_out = {"data", "serving_data"}
    left_out |= {n for part in (Engine, Limits, Publishing, Metadata) for n in part.model_fields}
    settings = config.model_dump_json(exclude=left_out)
    return {
        "data_licence": license_of(config.data),
        "code": fingerprint({"components.trainer", "components.transform"})[:12],
        "configuration": hashlib.sha256(settings.encode()).hexdigest()[:12],
    }
