"""The REST interface of an MLflow server, asked with Python's standard library."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError

NOT_THERE, ALREADY_THERE = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
_API = "api/2.0"
_SECONDS = 60.0  # without a word from the server
T = TypeVar("T", bound=BaseModel)
_LONGEST = 300  # characters of a server's message that are shown


class ServerError(Exception):
    """The server gave no answer, or refused; the message is a sentence that says what to do.

    Attributes:
        code: MLflow's name of the error; empty if the answer named none.
    """

    def __init__(self, message: str, code: str = ""):
        """Args: message: the sentence; code: MLflow's name of the error."""
        super().__init__("".join(c if c.isprintable() else "?" for c in message))
        self.code = code


class MlflowServer:
    """An MLflow server at an address; credentials come from the environment, as for MLflow's own client."""

    def __init__(self, url: str, environment: Mapping[str, str] = os.environ):
        """Checks the address; nothing is asked yet.

        Args:
            url: address of the server, as a browser shows its page.
            environment: variables that may hold a token, or a name with a password.

        Raises:
            ServerError: the address cannot be one of a server.
        """
        none = ServerError(f"{url!r} is no address of a server: write it as http://127.0.0.1:5000")
        try:
            parts = urllib.parse.urlsplit(url)
        except ValueError:  # such as a [ without an end
            raise none from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise none
        if parts.username or parts.password:  # it would be seen in the list of processes, and in histories
            raise ServerError(f"put no password into the address: set {USER} and {PASSWORD}, or {TOKEN}")
        self.url = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._headers = _credentials(environment)
        proxies = urllib.request.ProxyHandler({} if _is_local(parts.hostname) else None)
        self._opener = urllib.request.build_opener(proxies, _NoRedirect())

    def get(self, path: str, **values: str) -> dict[str, Any]:
        """Asks for something.

        Args:
            path: path below the interface's, such as `mlflow/experiments/get-by-name`.
            values: parameters of the request.

        Raises:
            ServerError: there is no such thing, or no answer.
        """
        return self._ask(f"{path}?{urllib.parse.urlencode(values, errors='surrogatepass')}", "GET")

    def post(self, path: str, **values: Any) -> dict[str, Any]:
        """Changes or searches something; see `get`."""
        return self._ask(path, "POST", json.dumps(values, allow_nan=False).encode())

    def read(self, kind: type[T], answer: dict[str, Any]) -> T:
        """Reads an answer.

        Args:
            kind: what it has to hold.
            answer: what `get` or `post` returned.

        Raises:
            ServerError: it holds something else, as of another kind of server.
        """
        try:
            return kind.model_validate(answer)
        except ValidationError as error:
            name = ".".join(map(str, error.errors()[0]["loc"]))
            raise ServerError(self._no_mlflow(f"it answers without a usable {name}")) from None

    def upload(self, path: str, file: Path) -> None:
        """Stores a file through the server, or replaces it there.

        Args:
            path: path of the artifact on the server, of any characters.
            file: the file to read.

        Raises:
            ServerError: the server does not take it.
            OSError: the file cannot be read.
        """
        with file.open("rb") as content:
            self._ask(f"mlflow-artifacts/artifacts/{urllib.parse.quote(path)}", "PUT", content)

    def _ask(self, path: str, method: str, body: bytes | IO[bytes] | None = None) -> dict[str, Any]:
        headers = dict(self._headers)
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
        elif body is not None:
            headers["Content-Type"] = "application/octet-stream"
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
        request = urllib.request.Request(f"{self.url}/{_API}/{path}", body, headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                text = response.read() or b"{}"
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, HTTPException) as error:  # URLError and time-outs are subclasses of the first
            reason = getattr(error, "reason", error)
            raise ServerError(
                f"no answer from {self.url}: {reason}: is the server started, and the address right?"
            ) from None
        except ValueError as error:  # nothing was asked: a character that no address, name or token may hold
            reason = " ".join(str(error).split())
            raise ServerError(
                f"{self.url} cannot be asked ({reason}): mend the address, --experiment, {USER} or {TOKEN}"
            ) from None
        try:
            answer = json.loads(text)
        except (RecursionError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            raise ServerError(self._no_mlflow("it answers with something else"))
        return answer

    def _refused(self, error: urllib.error.HTTPError) -> ServerError:
        text = ""
        with error, contextlib.suppress(OSError, HTTPException):  # it may end in the middle
            text = error.read().decode(errors="replace")
        if 300 <= error.code < 400:  # credentials do not follow to another address
            return ServerError(f"{self.url} leads to {error.headers['Location']}: give that address")
        try:
            told = json.loads(text)
            code, message = str(told["error_code"]), " ".join(str(told["message"]).split())[:_LONGEST]
        except (RecursionError, ValueError, KeyError, TypeError):
            code, message = "", " ".join(text.split())[:80]
        if error.code in (401, 403):
            return ServerError(
                f"{self.url} refuses the request ({error.code}: {message or error.reason}): set {USER} and "
                f"{PASSWORD}, or {TOKEN}, to those of somebody who may write there",
                code,
            )
        if error.code >= 500:
            return ServerError(
                f"{self.url} failed ({error.code}: {message or error.reason}): its own log says why", code
            )
        if not code:
            return ServerError(self._no_mlflow(f"it answers with {error.code} {error.reason}"))
        return ServerError(f"{self.url} refuses the request ({code}): {message}", code)

    def _no_mlflow(self, found: str) -> str:
        return f"{self.url} is no MLflow server, as {found}: give the address of its page, up to the #"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would send the credentials to the other address, and no content."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        """Makes an error of the answer."""


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The header of the request; a name counts before a token, as in MLflow's client."""
    if name := environment.get(USER):
        words = f"{name}:{environment.get(PASSWORD, '')}"
        return {"Authorization": f"Basic {base64.b64encode(words.encode(errors='surrogateescape')).decode()}"}
    token = environment.get(TOKEN)
    return {"Authorization": f"Bearer {token}"} if token else {}


def _is_local(host: str) -> bool:
    """Whether a host is this machine, which no proxy of the environment reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
