"""Profiles and overrides: what runs, and what is said when it cannot."""

import pytest

from pipeline.config import profile
from pipeline.config.settings import PipelineConfig
from unet.settings import Section


def test_defaults_are_the_default_profile():
    assert profile.load("default") == PipelineConfig()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stepz=7"], ["'stepz'", "'steps'"]),
        (["steps=0"], ["steps", "at least 1", "received 0"]),
        (["steps=many"], ["steps", "integer", "'many'"]),
        (["patch_size=500"], ["500", "492", "508"]),
        (["depth=3", "patch_size=444"], []),
        (["depth=3", "patch_size=440", "stem_stride=2"], []),
        (["depth=3", "patch_size=444", "stem_stride=2"], ["444", "440", "456"]),
        (["patch_size=440", "stem_stride=2", "tile_stride=528"], ["tile_stride = 528", "32"]),
        (
            ["window=444", "rare=0.3"],
            ["'window' is called 'patch_size' now", "'rare' is called 'oversample_rare' now"],
        ),
        (["channels=2"], ["channels = 2 needs use_channels"]),
        (["channels=3", "use_channels=[1, 2]"], ["channels = 3, but use_channels chooses 2"]),
        (["channels=many"], ["auto, or a number from 1 to 256", "'many'"]),
        (["use_channels=some"], ["all, or a list of numbers of channels from 1", "'some'"]),
        (["channels=2", "use_channels=all"], []),
        (["channels=1", "use_channels=[1, 2, 3]"], []),
        (["classes={a=0}"], ["two classes"]),
        (["classes={a=0, b=0}"], ["same value"]),
        (
            ["classes={nucleus=255, background=0}"],
            ["'nucleus' here", "put the background first: --set 'classes={background=0, nucleus=255}'"],
        ),
        (["classes={road=0, sky=1, car=2}"], ["'road'", "--set background=none", "--set background=first"]),
        (["classes={road=0, sky=1, car=2}", "background=none", "class_weights={road=2}"], []),
        (["background=none", "thresholds={boundary_f1_background=0.5}"], []),
        (["thresholds={boundary_f1_background=0.5}"], ["'boundary_f1_background'"]),
        (["background=none", "border_weight=10"], ["border_weight", 'background = "none"']),
        (["operating_point=precision >= 0.9"], []),
        (["operating_point=precision"], ["operating_point", "precision>=0.9"]),
        (["operating_point=dice", "classes={background=0, a=1, b=2}"], []),
        (["operating_point=dice", "background=none"], []),
        (
            ["operating_point=recall>=0.9", "classes={background=0, a=1, b=2}"],
            ['between a background and one class; here are background, a, b: set operating_point = "dice"'],
        ),
        (
            ["operating_point=precision>=0.9", "background=none"],
            ['background, foreground without a background: set operating_point = "dice"'],
        ),
        (["refit=true", "patience=2"], ["patience = 2", "refit = true", "set only one"]),
        (["refit=true", "operating_point=dice"], ["operating_point", "refit = true", "set only one"]),
        (["background=none", "segment_scores=true"], ["segment_scores", 'background = "none"']),
        (["background=last"], ["'auto', 'first' or 'none'", "'last'"]),
        (["thresholds={}"], ["blesses anything"]),
        (
            ["select_by=iou_nucleus"],
            ["select_by", "'iou_nucleus'", "known: foreground_iou", "iou_foreground"],
        ),
        (["select_by=iou_nucleus", "classes={background=0, nucleus=255}"], []),
        (["thresholds={foreground_iou=-1.0}"], ["foreground_iou = -1.0", "between 0 and 1"]),
        (["thresholds={foreground_iou=nan}"], ["thresholds", "finite"]),
        (["max_drop=inf"], ["max_drop", "finite"]),
        (["thresholds={iou=0.5}"], ["'iou'", "foreground_iou"]),
        (["thresholds={v_rand=0.5}"], ["v_rand", "segment_scores = true"]),
        (['thresholds={"v_info@size=small"=0.5}'], ["v_info@size=small", "segment_scores = true"]),
        (['thresholds={"mean_iou@size=tiny"=0.5}'], ["'size=tiny'", "size=small"]),
        (['thresholds={"mean_iou@site=a"=0.5}'], ["'site=a'", "bit_depth=..."]),
        (['slices=["size"]'], ["'size'", "column of its own"]),
        (["shares={train=1}"], ["train, eval and test"]),
        (["tile_stride=500"], ["500", "multiple of 16"]),
        (["tune_range=[1e-2, 1e-3]"], ["lower and a higher"]),
        (["tune_over={windov=[1, 2]}"], ["'windov'", "base_filters, dropout, loss"]),
        (["tune_over={dropout=[0, 1.5]}"], ["tune_over.dropout.1", "at most 0.99", "received 1.5"]),
        (["tune_over={base_filters=[8]}"], ["tune_over.base_filters", "two different values"]),
        (["tune_over={base_filters=[8, 8]}"], ["two different values", "each of them once"]),
        (['tune_over={loss=["dice", "entropy+dice"]}'], ["'entropy'", "cross_entropy, dice, focal, tversky"]),
        (['tune_over={loss=["dice", "dice+dice"]}'], ["a term is there twice"]),
        (['tune_over={dropout=[0, 0.3], loss=["dice", "cross_entropy+dice"]}'], []),
        (["tune=never", "tune_over={base_filters=[8, 16]}"], ['tune = "never"', "tune_over"]),
        (["class_weights=balancd"], ['"none", "balanced", or weights by class', "'balancd'"]),
        (["class_weights={foreground=true}"], ["each weight is a number"]),
        (["class_weights={foreground=-1}"], ["none below 0"]),
        (["loss=dise"], ["'dise'", "cross_entropy, dice, focal, tversky"]),
        (["tune_search=grid"], ["'random', 'bayesian' or 'hyperband'", "'grid'"]),
        (["tune_search=hyperband", "tune_trials=3"], ["tune_trials = 3", "4 trials"]),
        (["nonsense"], ["KEY=VALUE"]),
        (["stepz=1", "windov=2", "steps=0"], ["stepz", "windov", "received 0"]),
    ],
)
def test_mistakes_are_all_named_with_what_is_possible(words, said):
    if not said:
        profile.load("default", profile.parse_overrides(words))
        return
    with pytest.raises(profile.ConfigError) as error:
        profile.load("default", profile.parse_overrides(words))
    for text in said:
        assert text in str(error.value)


def test_a_loss_of_equal_terms_may_be_written_as_a_sum():
    config = profile.load("default", profile.parse_overrides(["loss=cross_entropy+dice"]))
    assert config.loss == {"cross_entropy": 1.0, "dice": 1.0}


def test_shares_are_normalized():
    shares = profile.load("default", {"shares": {"train": 3, "eval": 1, "test": 1}}).shares
    assert shares == pytest.approx({"train": 0.6, "eval": 0.2, "test": 0.2})


def test_what_a_component_gets_is_read_back_from_json(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = PipelineConfig(data="~/cells", serving_data="~/new", classes={"a": 0, "b": "instances"})
    assert config.data == tmp_path / "cells"
    reading = config.reading(tmp_path / "splits.json", ["a"])
    assert type(reading).model_validate_json(reading.model_dump_json()) == reading
    assert reading.serving_data == tmp_path / "new"
    for section in PipelineConfig.__bases__:
        assert issubclass(section, Section)
        part = section.of(config)
        assert section.model_validate_json(part.model_dump_json()) == part
