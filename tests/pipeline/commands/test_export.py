"""`runs export` where there is nothing to export, or nobody to take it; test_mlflow.py has real exports."""

from tests.command_line import call
from tests.pipeline.publishing.servers import free_url, stand_in


def test_a_run_that_does_not_exist_reaches_no_server(recorded):
    with stand_in(200, "{}") as (url, seen):
        done = call("runs", "export", "--root", recorded.root.path, "--mlflow", url)
        assert (done.returncode, done.stderr) == (2, f"{recorded.root.path}: no run was made here yet\n")
        recorded.add("1")
        done = call("runs", "export", "nothing", "--root", recorded.root.path, "--mlflow", url)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"{recorded.root.path}: no run nothing; the newest are: 1\n"
    assert seen == []


def test_nobody_listens(recorded):
    recorded.add("1")
    url = free_url()
    done = call("runs", "--root", recorded.root.path, "export", "--mlflow", url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"no answer from {url}: ")
    assert done.stderr.endswith("Connection refused: is the server started, and the address right?\n")


def test_the_server_is_named(recorded):
    done = call("runs", "export", "--root", recorded.root.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--mlflow" in done.stderr
