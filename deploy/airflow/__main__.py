"""`make airflow`: Airflow on this machine alone, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from deploy.airflow.services import SERVICES, NotStarted, Services, environment, hold, require_port
from deploy.airflow.settings import CHECKOUT, BadSettings, load

_FAILED, _BAD_INPUT = 1, 2  # as of the pipeline


class _Ended(Exception):
    """Somebody wants Airflow to end."""


def main(arguments: list[str]) -> int:
    """Starts Airflow, waits for a signal, and ends it; returns the exit code."""
    parser = argparse.ArgumentParser("make airflow", description=__doc__)
    parser.add_argument("config", nargs="?", default="", help="TOML file, like deploy/airflow/example.toml")
    config = parser.parse_args(arguments).config
    _on_signal(_end)
    try:
        settings = load(config)
        for path in (settings.path(settings.python), CHECKOUT / "run_pipeline.py"):
            if not path.is_file():
                raise BadSettings(f"{path}: no such file (make setup makes the pipeline's interpreter)")
        if not shutil.which("setpriv"):
            raise BadSettings("setpriv is missing: install util-linux")
        require_port(settings.port)
        lock = hold(settings.path(settings.state))
    except (BadSettings, NotStarted) as error:
        print(error, file=sys.stderr)
        return _BAD_INPUT
    except _Ended:
        return 0
    with lock:
        services, code = None, 0
        try:
            services = Services(settings, environment(settings, config, os.environ))
            print(f"logs in {services.logs}; Ctrl-C ends everything", flush=True)
            services.migrate()
            for name in SERVICES:
                services.start(name)
                print(f"{name} is healthy", flush=True)
            print(f"Airflow: http://127.0.0.1:{settings.port}/dags/unet", flush=True)
            while True:
                time.sleep(1)
                services.require_alive()
        except _Ended:
            print("ending; a training keeps its checkpoint", flush=True)
        except NotStarted as error:
            print(error, file=sys.stderr, flush=True)
            code = _FAILED
        finally:
            _on_signal(signal.SIG_IGN)  # the end is under way
            if services:
                services.end()
        print("ended; no process is left", flush=True)
        return code


def _on_signal(action: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup left it
            signal.signal(number, action)


def _end(number: int, frame: FrameType | None) -> None:
    _on_signal(signal.SIG_IGN)  # whoever presses Ctrl-C twice still gets an orderly end
    raise _Ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
