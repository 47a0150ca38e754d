"""Whether the service that runs Beam's jobs can be reached, and knows the options that are meant for it."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from pipeline.engine import options as known
from unet.errors import BadInput

_SECONDS = 5.0  # to connect, and to be answered
_IN_THIS_PROCESS = "embed"  # instead of an address


def require_job_service(runner: str, options: Mapping[str, known.Value]) -> None:
    """Asks the job service that the options name, if they name one, before anything starts.

    Args:
        runner: name of a runner of Beam.
        options: values of Beam's pipeline options, by name.

    Raises:
        BadInput: nobody answers there, or an option is not known there.
    """
    address = options.get("job_endpoint")
    if not isinstance(address, str) or address == _IN_THIS_PROCESS:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadInput(f"beam: job_endpoint = {address!r} is no address: give HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except OSError as error:
        raise BadInput(
            f"beam: no job service answers at {address} ({error.strerror or error}): start it, or leave out "
            f"runner = {runner!r}, which works there"
        ) from None
    if asked := known.unknown(options):
        offered = _options_of(address)
        if strange := [name for name in asked if name not in offered]:
            raise BadInput(
                f"beam: neither Beam nor the job service at {address} knows the option {strange[0]!r}"
            )


def _options_of(address: str) -> set[str]:
    """The names of the options that a job service says it takes."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2 as messages
    from apache_beam.portability.api import beam_job_api_pb2_grpc as services

    try:
        with grpc.insecure_channel(address) as channel:
            described = services.JobServiceStub(channel).DescribePipelineOptions(
                messages.DescribePipelineOptionsRequest(), timeout=_SECONDS
            )
    except grpc.RpcError as error:
        raise BadInput(
            f"beam: what answers at {address} is no job service of Beam ({error.code().name})"
        ) from None
    return {option.name for option in described.options}
