"""Runners and options of Beam are refused with what is known; what is passed to Beam says what was set."""

import pytest

from pipeline.config import profile
from pipeline.engine.options import arguments


@pytest.mark.parametrize(
    ("beam", "said"),
    [
        ({"runner": "Nope"}, ["unknown runner 'Nope'", "FnApiRunner", "PortableRunner"]),
        ({"options": {"direct_num_worker": 2}}, ["did you mean 'direct_num_workers'?"]),
        ({"options": {"direct_num_workers": "x"}}, ["direct_num_workers", "invalid int value: 'x'"]),
        ({"options": {"direct_running_mode": "threads"}}, ["multi_threading", "multi_processing"]),
        ({"options": {"s3_secret_access_key": "x"}}, ["each run's record", "environment"]),
        ({"options": {"runner": "FlinkRunner"}}, ["runner stands beside options"]),
        ({"runner": "PortableRunner"}, ["PortableRunner needs", "job_endpoint"]),
        ({"runner": "PortableRunner", "options": {"job_endpoint": "a:1"}}, ["sdk_container_image"]),
        (
            {"runner": "PortableRunner", "options": {"job_endpoint": "a:1", "environment_type": "EXTERNAL"}},
            ["environment_config"],
        ),
        ({"runner": "FlinkRunner", "options": {"paralelism": 4}}, ["did you mean 'parallelism'?"]),
    ],
)  # fmt: skip
def test_what_beam_cannot_do_is_refused_when_the_configuration_is_read(beam, said):
    with pytest.raises(profile.ConfigError) as error:
        profile.load("default", {"beam": beam})
    [_, line] = str(error.value).splitlines()
    assert line.startswith("  beam: ")
    for text in said:
        assert text in line


def test_an_option_that_only_a_job_service_knows_is_let_through():
    options = {"my_own": 4, "environment_type": "LOOPBACK"}
    assert profile.load("default", {"beam": {"runner": "FlinkRunner", "options": options}}).beam["options"]
    with pytest.raises(profile.ConfigError, match="unknown option 'my_own'"):
        profile.load("default", {"beam": {"options": options}})


def test_options_become_words_and_replace_the_defaults():
    words = arguments(
        "FnApiRunner", {"direct_num_workers": "2", "streaming": False, "experiments": ["a", "b"]}
    )
    assert words == [
        "--runner=FnApiRunner",
        "--direct_num_workers=2",
        "--sdk_container_image=none",
        "--experiments=a",
        "--experiments=b",
    ]
    assert "--job_server_timeout=604800" in arguments("PortableRunner", {})
