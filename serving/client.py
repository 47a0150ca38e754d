"""Requests the predicted mask of an image from a server; needs only Python's standard library.

    python serving/client.py cells.png --out mask.png

Or from Python: `mask = segment(Path("cells.png").read_bytes())`. It works with any server with TensorFlow
Serving's REST interface, including TensorFlow Serving itself.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import ipaddress
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8501"
MODEL = "unet"


class ServerError(Exception):
    """The server refused the request or cannot be reached; the message says why."""


def segment(image: bytes, url: str = URL, model: str = MODEL, timeout: float = 150.0) -> bytes:
    """Returns the predicted mask of an image, as a PNG of the same size.

    Args:
        image: a PNG or JPEG file.
        url: address of the server.
        model: name of the model on the server.
        timeout: time limit in seconds.

    Raises:
        ServerError: the server returned no mask; the message says why.
    """
    body = json.dumps({"instances": [{"b64": base64.b64encode(image).decode()}]}).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(f"{url}/v1/models/{model}:predict", body, headers)
        opener = _opener(url)
    except ValueError as error:
        raise ServerError(f"{url} is no address of a server: {error}") from None
    try:
        with opener.open(request, timeout=timeout) as response:
            return base64.b64decode(json.load(response)["predictions"][0]["b64"])
    except urllib.error.HTTPError as error:
        raise ServerError(_reason(error)) from None
    except OSError as error:  # URLError and time-outs are subclasses of it
        reason = getattr(error, "reason", error)
        raise ServerError(f"no answer from {url}: {reason}") from None
    except http.client.HTTPException as error:  # an answer that is cut short, or no HTTP, as gRPC's
        raise ServerError(f"no answer from {url}: {error!r}"[:300]) from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise ServerError(f"the answer of {url} holds no mask; does {model!r} answer with images?") from None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Opens addresses by the proxy that the environment names, but those of this machine directly."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return urllib.request.build_opener(urllib.request.ProxyHandler({} if local else None))


def _reason(error: urllib.error.HTTPError) -> str:
    """Returns the server's error message."""
    try:
        with error:
            text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):  # the connection ended within it
        text = ""
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}: {text[:200]}"


def main() -> int:
    """Runs the command line; returns 1 if the server returned no mask."""
    parser = argparse.ArgumentParser(description="Asks a server for the mask of an image.")
    parser.add_argument("image", type=Path, help="a PNG or JPEG file")
    parser.add_argument("--out", type=Path, required=True, help="where the mask goes, a PNG")
    parser.add_argument("--url", default=URL, help="of the server (default: %(default)s)")
    parser.add_argument("--model", default=MODEL, help="its name there (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        mask = segment(arguments.image.read_bytes(), arguments.url.rstrip("/"), arguments.model)
        arguments.out.write_bytes(mask)
    except (ServerError, OSError) as error:
        print(f"{arguments.image}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
