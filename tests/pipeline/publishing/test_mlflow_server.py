"""What is no MLflow server, or refuses: one sentence that says what to do."""

from __future__ import annotations

import base64

import pytest

from pipeline.publishing.mlflow_answers import RunsFound
from pipeline.publishing.mlflow_server import PASSWORD, TOKEN, USER, MlflowServer, ServerError
from tests.pipeline.publishing.servers import stand_in


def refusal(url: str, **environment: str) -> ServerError:
    with pytest.raises(ServerError) as caught:
        MlflowServer(url, environment).get("mlflow/experiments/get-by-name", experiment_name="unet")
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "url", ["", "runs", "127.0.0.1:5000", "file:///tmp", "http://", "http://[::1", "sqlite:///x"]
)
def test_what_is_no_address(url):
    assert str(refusal(url)).startswith(f"{url!r} is no address of a server: write it as http://")


def test_a_password_in_the_address_is_refused_and_not_repeated():
    told = str(refusal("http://ada:secret@127.0.0.1:5000"))
    assert USER in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "<html>a page</html>", "is no MLflow server, as it answers with something else"),
        (200, "[1]", "is no MLflow server, as it answers with something else"),
        (404, "<html>not here</html>", "is no MLflow server, as it answers with 404 Not Found"),
        (401, "who are you?", "refuses the request (401: who are you?): set MLFLOW_TRACKING_USERNAME and"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "no"}', "refuses the request (403: no): set"),
        (400, '{"error_code": "BAD", "message": "too\\nlong"}', "refuses the request (BAD): too long"),
        (200, "[" * 100_000, "is no MLflow server, as it answers with something else"),
        (404, "[" * 100_000, "is no MLflow server, as it answers with 404 Not Found"),
        (400, '{"error_code": "BAD", "message": "\\u001b[2J"}', "refuses the request (BAD): ?[2J"),
        (500, "", "failed (500: Internal Server Error): its own log says why"),
    ],
)
def test_each_answer_that_is_none(status, body, told):
    with stand_in(status, body) as (url, _):
        found = str(refusal(url))
    assert found.startswith(url)
    assert told in found


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_that_ends_in_the_middle(status):
    with stand_in(status, '{"a"', cut=100) as (url, _):
        assert str(refusal(url)).startswith(("no answer from", url))


@pytest.mark.parametrize(("path", "environment"), [("", {TOKEN: "a\nb"}), ("", {TOKEN: "ё"}), ("/ü", {})])
def test_what_no_request_may_hold(path, environment):
    with stand_in(200, "{}") as (url, seen):
        assert str(refusal(url + path, **environment)).startswith(f"{url}{path} cannot be asked (")
    assert seen == []


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({}, "runs.0.info"),
        ({"info": []}, "runs.0.info"),
        ({"info": {"run_id": "a", "artifact_uri": None}}, "runs.0.info.artifact_uri"),
        ({"info": {"run_id": "a", "artifact_uri": ""}, "data": {"tags": "x"}}, "runs.0.data.tags"),
    ],
)
def test_an_answer_of_another_kind_of_server(answer, field):
    with pytest.raises(ServerError, match=f"no MLflow server, as it answers without a usable {field}:"):
        MlflowServer("http://127.0.0.1").read(RunsFound, {"runs": [answer]})
    assert MlflowServer("http://127.0.0.1").read(RunsFound, {"more": 1}).runs == []


def test_credentials_do_not_follow_to_another_address():
    with stand_in(200, "{}") as (other, seen_there), stand_in(307, Location=other) as (url, _):
        assert str(refusal(url, **{TOKEN: "secret"})) == f"{url} leads to {other}: give that address"
    assert seen_there == []


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, None),
        ({TOKEN: "t"}, "Bearer t"),
        ({USER: "ada", PASSWORD: "pä:s"}, "Basic " + base64.b64encode("ada:pä:s".encode()).decode()),
        ({USER: "\udcff"}, "Basic " + base64.b64encode(b"\xff:").decode()),  # no UTF-8
        ({USER: "ada", PASSWORD: "p", TOKEN: "t"}, "Basic " + base64.b64encode(b"ada:p").decode()),
    ],
)
def test_credentials_come_from_the_environment(environment, header):
    with stand_in(200, "{}") as (url, seen):
        MlflowServer(f"{url}/", environment).post("mlflow/runs/search")
    assert [headers.get("Authorization") for headers in seen] == [header]


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with stand_in(200, '{"a": 1}') as (url, _):
        assert MlflowServer(url, {}).get("x") == {"a": 1}


def test_a_file_is_uploaded_whole(tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(b"x" * 3_000_000)
    with stand_in(200, "{}") as (url, seen):
        MlflowServer(url, {}).upload("1/ü/report.html", path)
    assert [headers["Content-Length"] for headers in seen] == ["3000000"]
