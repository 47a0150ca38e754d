#!/bin/sh
# Makes .venv-serving hold exactly what serving/requirements.lock says; returns at once when it does already.
# The server has an environment of its own, as KServe and TFX want different versions of the same packages. The
# interpreter and uv are those of .venv, which `make setup` makes before.
set -eu
cd "$(dirname "$0")/.."

venv=.venv-serving lock=serving/requirements.lock stamp=.venv-serving/.stamp
key() { { cat "$lock" && readlink -f .venv/bin/python; } | sha256sum; }
up_to_date() { [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(key)" ]; }
if up_to_date; then exit 0; fi

mkdir -p .setup
if command -v flock >/dev/null; then
  exec 9>.setup/serving-lock
  flock 9
  if up_to_date; then exit 0; fi
fi
echo "set-up: installing $lock into $venv; the first time downloads about 400 MB ..."
rm -rf "$venv"
.venv/bin/python -m venv --without-pip "$venv"
.venv/bin/uv pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock" || {
  echo "set-up: installing $lock failed; see above (is the package index within reach?)" >&2
  exit 1
}
# Written last: a killed installation never looks finished.
key >.setup/serving-stamp
mv .setup/serving-stamp "$stamp"
