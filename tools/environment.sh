#!/bin/sh
# Makes an environment beside .venv hold exactly what a lock file says; returns at once when it does already:
#   environment.sh .venv-serving serving/requirements.lock "400 MB"
# The server and Airflow have environments of their own, as they and TFX want different versions of the same packages.
# The interpreter and uv are those of .venv, which `make setup` makes before.
set -eu
cd "$(dirname "$0")/.."

venv=$1 lock=$2 size=$3 stamp=$1/.stamp name=${1#.venv-}
key() { { cat "$lock" && readlink -f .venv/bin/python; } | sha256sum; }
up_to_date() { [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(key)" ]; }
if up_to_date; then exit 0; fi

mkdir -p .setup
if command -v flock >/dev/null; then
  exec 9>".setup/$name-lock"
  flock 9
  if up_to_date; then exit 0; fi
fi
echo "set-up: installing $lock into $venv; the first time downloads about $size ..."
rm -rf "$venv"
.venv/bin/python -m venv --without-pip "$venv"
.venv/bin/uv pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes "$lock" || {
  echo "set-up: installing $lock failed; see above (is the package index within reach?)" >&2
  exit 1
}
# Written last: a killed installation never looks finished.
key >".setup/$name-stamp"
mv ".setup/$name-stamp" "$stamp"
