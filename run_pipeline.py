"""The command line: `python run_pipeline.py --help`. Each command imports only the libraries it needs."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(HERE, ".venv", "bin", "python")


def explain_missing(reason):
    # type: (str) -> None
    """Exits with a message that names the right command. Old versions of Python must parse this file."""
    make = "" if os.path.exists(PYTHON) else "make setup && "
    command = " ".join([PYTHON] + ["'%s'" % word if " " in word else word for word in sys.argv])
    sys.exit("%s\nThe pipeline has an environment of its own:\n    %s%s" % (reason, make, command))


if sys.version_info < (3, 10):
    explain_missing("Python 3.10 or later is needed, this is %s." % sys.version.split()[0])

from importlib.util import find_spec  # noqa: E402

for module in ("pydantic", "rich", "numpy", "PIL", "tensorflow", "tfx"):
    if find_spec(module) is None:
        explain_missing("This Python (%s) has no module %r." % (sys.executable, module))

from pipeline.cli import command  # noqa: E402

if __name__ == "__main__":
    sys.exit(command())
