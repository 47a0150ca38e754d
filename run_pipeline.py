"""The command line: `python run_pipeline.py --help`. Imports nothing heavy before a command needs it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# Before TensorFlow loads: its faster CPU kernels, which it chooses by itself only on some CPUs; no chatter;
# no more GPU memory than is needed; Keras 3, whatever the shell says.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.pop("TF_USE_LEGACY_KERAS", None)

try:
    from pipeline.command_line import main
except ModuleNotFoundError as error:
    if error.name and error.name.split(".")[0] in ("pipeline", "components"):
        raise
    python = os.path.join(HERE, ".venv", "bin", "python")
    command = " ".join(
        [python if os.path.exists(python) else "make setup &&\n    .venv/bin/python"] + sys.argv
    )
    sys.exit(
        "This Python (%s) has no module %r. The pipeline lives in an environment of its own:\n    %s"
        % (sys.executable, error.name, command)
    )
except SyntaxError:
    sys.exit(
        "Python 3.10 or later is needed, this is %s. `make setup` makes an environment."
        % sys.version.split()[0]
    )

if __name__ == "__main__":
    sys.exit(main())
