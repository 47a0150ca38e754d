"""`python -m serving`: the command line of the server."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from serving.settings import parse


def main() -> int:
    """Serves until it is told to stop; the exit code: 0 stopped, 1 cannot start, 2 wrong arguments."""
    settings = parse()
    # TensorFlow reads both once, when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    print("serving: starting, which takes some seconds ...", file=sys.stderr, flush=True)
    from serving.server import listen, serve  # seconds, which a wrong argument need not cost

    try:
        asyncio.run(serve(settings, listen(settings)))
    except OSError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
