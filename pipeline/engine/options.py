"""Runners and options of Beam, as Beam knows them; only where some are set is it loaded, in seconds."""

from __future__ import annotations

import difflib
import functools
import json
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Value = str | bool | list[str]

IN_MEMORY = "FnApiRunner"
# Which run what others describe to them, and may have options of their own.
_WITH_JOB_SERVICE = ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner")
_WEEK = str(7 * 24 * 3600)  # seconds
_SECRET = ("secret", "token", "password", "connection_string")  # in the name of an option


def refusal(runner: str, options: Mapping[str, Value]) -> str:
    """Explains why Beam cannot work as it is asked to; empty if it can be tried.

    Args:
        runner: name of a runner of Beam.
        options: values of Beam's pipeline options, by name.
    """
    if runner == IN_MEMORY and not options:
        return ""
    return _refusal(runner, json.dumps(options))


@functools.lru_cache(maxsize=8)
def _refusal(runner: str, options_as_json: str) -> str:
    options: dict[str, Value] = json.loads(options_as_json)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Google's libraries say about the age of Python
        from apache_beam.options.pipeline_options import StandardOptions
        from apache_beam.runners.runner import create_runner
    known = [name for name in StandardOptions.KNOWN_RUNNER_NAMES if not name.startswith("Test")]
    if runner not in known:
        return f"unknown runner {runner!r}, known: {', '.join(known)}"
    try:
        create_runner(runner)
    except ImportError as error:
        extra = "interactive" if runner.startswith("Interactive") else "gcp"
        return f"{runner} needs `pip install 'apache-beam[{extra}]'` ({error})"
    for name, value in options.items():
        if any(word in name for word in _SECRET):
            return f"{name} would be part of each run's record: leave secrets to the environment"
        if name == "runner":
            return f"{name} stands beside options, not among them"
        if why := _wrong(name, value, strict=runner not in _WITH_JOB_SERVICE):
            return why
    return _incomplete(runner, options)


def _incomplete(runner: str, options: Mapping[str, Value]) -> str:
    """Why a runner that needs others cannot find them."""
    if runner == "PortableRunner" and not options.get("job_endpoint"):
        return 'PortableRunner needs the address of a job service: job_endpoint = "HOST:PORT"'
    kind = options.get("environment_type", "DOCKER")
    if kind == "EXTERNAL" and not options.get("environment_config"):
        return 'EXTERNAL workers need the address of a pool of them: environment_config = "HOST:PORT"'
    in_container = runner == "DataflowRunner" or (runner in _WITH_JOB_SERVICE and kind == "DOCKER")
    if in_container and not options.get("sdk_container_image"):
        other = "" if runner == "DataflowRunner" else ", or environment_type = LOOPBACK, EXTERNAL or PROCESS"
        return (
            f"{runner} works in containers: it needs sdk_container_image, an image that holds this project "
            f"and its libraries{other}"
        )
    return ""


def arguments(runner: str = IN_MEMORY, options: Mapping[str, Value] = MappingProxyType({})) -> list[str]:
    """Returns the words of a command line by which TFX passes a runner and its options to Beam.

    Args:
        runner: name of a runner of Beam.
        options: values of Beam's pipeline options, by name.
    """
    words = [f"--runner={runner}"]
    # Without the name of a container image, be it one that is never used, TFX packs its own sources for other
    # machines, which takes seconds for each component and leaves a temporary folder.
    defaults: dict[str, Value] = {"direct_num_workers": "1", "sdk_container_image": "none"}
    if runner in _WITH_JOB_SERVICE:
        # Beam ends jobs that are watched for longer, by default 5 minutes.
        defaults["job_server_timeout"] = _WEEK
    for name, value in {**defaults, **options}.items():
        words += _words(name, value)
    return words


def unknown(options: Mapping[str, Value]) -> list[str]:
    """Returns the names of the options that only a job service may know."""
    return [name for name, value in options.items() if _parse(_words(name, value) or [f"--{name}"])[1]]


def _words(name: str, value: Value) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]


def _wrong(name: str, value: Value, strict: bool) -> str:
    """What Beam's parser says about an option; one that it does not know is wrong only if `strict`."""
    try:
        _, left = _parse(_words(name, value) or [f"--{name}"])
    except ValueError as error:
        return f"{name} = {json.dumps(value)}: {error}"
    if not left:
        return ""
    near = difflib.get_close_matches(name, _known(), n=1, cutoff=0.75)
    if not strict and not near:
        return ""
    return f"unknown option {name!r} of Beam" + (f": did you mean {near[0]!r}?" if near else "")


def _known() -> list[str]:
    return sorted(vars(_parse([])[0]))


def _parse(words: list[str]) -> tuple[Any, list[str]]:
    """Reads options as Beam does; returns them, and the words that it does not know; raises ValueError."""
    from apache_beam.options import pipeline_options

    class Parser(pipeline_options._BeamArgumentParser):  # options of Beam can be added to no other
        def error(self, message: str) -> None:
            raise ValueError(message.partition(": ")[2] or message)

    parser = Parser(allow_abbrev=False, add_help=False)
    for group in pipeline_options.PipelineOptions.__subclasses__():
        group._add_argparse_args(parser)
    return parser.parse_known_args(words)
