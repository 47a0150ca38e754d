"""Profiles and overrides are read and written; what cannot be read is told."""

import pytest

from pipeline.config import profile


@pytest.mark.parametrize("name", profile.profile_names())
def test_every_profile_loads_and_survives_print_config(name, tmp_path):
    loaded = profile.load(name)
    printed = tmp_path / "printed.toml"
    printed.write_text(profile.to_toml(loaded))
    assert profile.load(str(printed)) == loaded


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["steps=7"], "steps", 7),
        (["tune=never"], "tune", "never"),
        (["learning_rate=1e-4"], "learning_rate", 1e-4),
        (["classes={bg=0, b=1, c=2}"], "classes", {"bg": 0, "b": 1, "c": 2}),
        (["steps=7", "steps=8"], "steps", 8),
        (["mask_suffix=a\n.b=c"], "mask_suffix", "a\n.b=c"),
        (['mask_suffix="_m"\nsteps=7'], "mask_suffix", '"_m"\nsteps=7'),  # not silently half of it
        (["channels=3"], "channels", 3),
        (["thresholds={pixel_error=0.1}"], "thresholds", {"pixel_error": 0.1}),
        (
            ['slices=["site"]', 'thresholds={"ece@site=a b"=0.1, "iou_foreground@size=small"=0.5}'],
            "thresholds",
            {"ece@site=a b": 0.1, "iou_foreground@size=small": 0.5},
        ),
    ],
)
def test_set_changes_one_setting(words, key, value):
    assert getattr(profile.load("default", profile.parse_overrides(words)), key) == value


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(profile.ConfigError, match="default, isbi2012"):
        profile.load("nope")


def test_broken_toml_names_the_file_and_line(tmp_path):
    broken = tmp_path / "mine.toml"
    broken.write_text("steps = = 3")
    with pytest.raises(profile.ConfigError, match=r"mine\.toml.*line 1"):
        profile.load(str(broken))


def test_data_of_a_users_profile_is_relative_to_it(tmp_path):
    (tmp_path / "mine.toml").write_text('data = "cells"')
    assert profile.load(str(tmp_path / "mine.toml")).data == tmp_path / "cells"


def test_a_doubt_about_the_background_alone_stops_no_check():
    classes = {"road": 0, "car": 1, "sky": 2}
    config, doubt = profile.load_with_doubt("default", {"classes": classes})
    assert list(config.classes) == list(classes)
    assert "'road'" in "; ".join(doubt or ())
    assert profile.load_with_doubt("default", {"classes": classes, "background": "none"})[1] is None
    for wrong in ({"classes": classes, "depth": 99}, {"classes": classes, "background": "last"}):
        with pytest.raises(profile.ConfigError):
            profile.load_with_doubt("default", wrong)


@pytest.mark.parametrize("setting", ["data", "serving_data", "push_to", "prometheus_file"])
def test_the_home_of_nobody_is_a_folder_of_that_name(setting, tmp_path):
    text = "~nobody-of-this-name/unet.prom"
    (tmp_path / "mine.toml").write_text(f'{setting} = "{text}"')
    for config in (profile.load(str(tmp_path / "mine.toml")), profile.load("default", {setting: text})):
        assert str(getattr(config, setting)).endswith(text)


def test_a_profile_of_an_editor_that_marks_utf_8_is_read(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfsteps = 7")
    assert profile.load(str(tmp_path / "mine.toml")).steps == 7


def test_what_is_nested_too_deeply_is_told_in_a_sentence(tmp_path):
    deep = "[" * 3000
    (tmp_path / "mine.toml").write_text(f"classes = {deep}")
    with pytest.raises(profile.ConfigError, match=r"mine\.toml is not valid TOML"):
        profile.load(str(tmp_path / "mine.toml"))
    with pytest.raises(profile.ConfigError, match="classes"):
        profile.load("default", profile.parse_overrides([f"classes={deep}"]))


def test_characters_that_toml_escapes_survive_print_config(tmp_path):
    text = "".join(map(chr, range(1, 160)))
    config = profile.load("default", {"mask_suffix": text})
    (tmp_path / "printed.toml").write_text(profile.to_toml(config), encoding="utf-8")
    assert profile.load(str(tmp_path / "printed.toml")).mask_suffix == text


@pytest.mark.parametrize("text", ['"a\\u0000b"', '"~\\u0000"', '["a\\u0000b"]', '{ "a\\u0000b" = 1 }'])
@pytest.mark.parametrize("setting", ["data", "serving_data", "push_to", "prometheus_file", "classes"])
def test_a_null_character_is_told(setting, text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f"{setting} = {text}\nsteps = 0\n")
    for read in (
        lambda: profile.load(str(path)),
        lambda: profile.load("default", profile.parse_overrides([f"{setting}={text}", "steps=0"])),
    ):
        with pytest.raises(profile.ConfigError) as caught:
            read()
        told = str(caught.value).splitlines()
        assert f"  {setting}: it holds a null character: leave it out" in told
        assert any(line.startswith("  steps: must be") for line in told)
