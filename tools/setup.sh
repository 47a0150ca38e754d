#!/bin/sh
# Makes .venv hold exactly what the lock file says; returns at once when it does already.
# PYTHON=/path/to/python chooses the interpreter; otherwise this picks one and says which and why.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*"; }
die() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

lock=requirements.lock size="about 1 GB"
if [ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1; then
  lock=requirements-gpu.lock size="several GB, CUDA's libraries among them, as there is an NVIDIA driver"
fi

# ---- Nothing to do? The stamp is written last, so a killed installation never looks finished. ----
stamp=.venv/.stamp
key() { { cat "$lock" pyproject.toml && readlink -f .venv/bin/python; } | sha256sum; }
up_to_date() {
  [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(key)" ] || return 1
  [ -z "${PYTHON:-}" ] || [ "$(readlink -f "$(command -v "$PYTHON")")" = "$(readlink -f .venv/bin/python)" ]
}
if up_to_date; then exit 0; fi

# ---- Can this machine run either stack? ----
machine="$(uname -s) $(uname -m)"
[ "$machine" = "Linux x86_64" ] ||
  die "this pipeline needs Linux on x86-64, the only system TFX has wheels for; this machine is $machine (a virtual machine will do)."
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) ||
  die "this pipeline needs a Linux with glibc, which this one lacks (musl, as in Alpine?); use Debian, Ubuntu, Fedora or the like."
libc=${libc#glibc }
at_least() { [ "$(printf '%s\n' "$1" "$libc" | sort -V | head -n 1)" = "$1" ]; }
at_least 2.28 || die "this system's glibc $libc is too old: TensorFlow's wheels need 2.28 or newer (Debian 10, Ubuntu 20.04, RHEL 8)."

mkdir -p .setup  # set-up's own things: its lock, its log, and uv where the machine has none
if command -v flock >/dev/null; then
  exec 9>.setup/lock
  flock -n 9 || { say "waiting for another set-up of this checkout to finish."; flock 9; }
  if up_to_date; then exit 0; fi
fi
log=.setup/log
: >"$log"

offline='dns error|name resolution|resolve host|connection (refused|reset|broken|aborted)|connect error|\(connect\)|timed out|unreachable|network was disabled|proxyerror|tunnel error'
# Ends with the likely cause in one sentence; the log has the rest.
failed() {
  if grep -Eqi "$offline" "$log"; then
    die "the network or the package index cannot be reached (see to the connection or the proxy), so $1; details: $log."
  fi
  die "$1; $log says: $(grep -Ei 'error|no space|denied' "$log" | tail -n 1 | cut -c 1-160)"
}
# Runs a command into the log and shows its milestones, large downloads among them.
logged() {
  { { "$@" 2>&1 && echo "exit 0"; } || echo "exit 1"; } | tee -a "$log" | grep -E '^ *(Downloading .*[0-9]{2}(\.[0-9])? ?[MG]i?B|(Building|Prepared|Installed) )' || true
  [ "$(tail -n 1 "$log")" = "exit 0" ]
}

# Sets $uv to a uv that runs: the machine's, or one that pip puts under .setup, pinned by the lock's hashes.
find_uv() {
  for uv in uv .setup/uv/bin/uv; do "$uv" --version >/dev/null 2>&1 && return; done
  rm -rf .setup/uv .setup/pip
  awk '/^uv==/ { on = 1; print; next } on && /^[^ ]/ { exit } on' "$lock" >.setup/uv.txt
  pip=python3
  for base in "${py:-python3}" python3; do
    "$base" -m venv .setup/pip >>"$log" 2>&1 && { pip=.setup/pip/bin/python; break; }
  done
  "$pip" -m pip install --quiet --target .setup/uv --only-binary :all: --require-hashes -r .setup/uv.txt >>"$log" 2>&1 &&
    "$uv" --version >/dev/null 2>&1
}

# Sets $py and $version if $1 is a working interpreter (a pyenv shim may exist and fail) of one of the versions in $2.
works() {
  found=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.executable)' 2>/dev/null) || return 1
  version=${found%% *} py=${found#* }
  case " $2 " in *" $version "*) ;; *) py=; return 1 ;; esac
  # Only Python 3.10 compiles anything (pyfarmhash), and Debian's and Ubuntu's python3 comes without its headers.
  [ "$version" != 3.10 ] || compiles "$py"
}
compiles() {
  include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  echo '#include <Python.h>' | ${CXX:-c++} -x c++ -fsyntax-only -I"$include" - 2>/dev/null || { py=; return 1; }
}
search() {  # each version in turn: on PATH, then among pyenv's
  for v in $1; do
    for candidate in "python$v" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$v".*/bin/"python$v"; do
      works "$candidate" "$1" && return
    done
  done
  return 1
}

# ---- Pick the interpreter, and with it the stack. ----
py='' version='' compiler="C++ compiler, which Python 3.10's stack needs once, to build pyfarmhash (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++)"
if at_least 2.39; then stack="3.13 3.12 3.11"; else stack="3.10"; fi
if [ -n "${PYTHON:-}" ]; then
  all="$stack"; at_least 2.39 && all="$stack 3.10"
  works "$PYTHON" "$all" || case $version in
    '') die "PYTHON=$PYTHON does not run." ;;
    3.10) die "PYTHON=$PYTHON lacks its headers (Python.h), or this machine a $compiler." ;;
    *) die "PYTHON=$PYTHON is Python $version, but this machine (glibc $libc) needs one of: $all." ;;
  esac
  why="PYTHON says so"
elif search "$stack"; then
  why="the newest found that TFX installs on with glibc $libc"
elif at_least 2.39 && search 3.10; then
  why="neither 3.11, 3.12 nor 3.13 was found"
else
  want=${stack%% *}
  [ "$want" != 3.10 ] || command -v "${CXX:-c++}" >/dev/null || die "this machine has no $compiler."
  need="Python $want, which TFX needs with this system's glibc $libc, was neither found nor downloaded: install it, or set PYTHON=/path/to/python$want"
  find_uv || failed "$need"
  say "no suitable Python found; downloading Python $want ..."
  logged "$uv" python install "$want" || failed "$need"
  py=$("$uv" python find --python-preference only-managed "$want" 2>>"$log") || failed "$need"
  version=$want why="downloaded, since no suitable one was found"
fi
case $version in 3.10) tfx=1.16.0 ;; *) tfx=1.21.0 ;; esac
say "Python $version ($py): $why; this means TFX $tfx."

# ---- Install. A venv that a killed set-up left, or of another interpreter, is made anew; any other is brought up to date. ----
if [ "$(cat "$stamp" 2>/dev/null)" = incomplete ] || [ "$(readlink -f .venv/bin/python)" != "$(readlink -f "$py")" ]; then
  rm -rf .venv
fi
mkdir -p .venv
before=$(cat "$stamp" 2>/dev/null) || before=
echo incomplete >"$stamp"
if find_uv; then
  [ -x .venv/bin/python ] || "$py" -m venv --without-pip .venv >>"$log" 2>&1 || failed "$py cannot make a virtual environment"
  say "installing $lock into .venv with uv; the first time downloads $size ..."
  # Compiled now: the first run need not, and where PYTHONDONTWRITEBYTECODE is set, no process does it again.
  logged "$uv" pip sync --compile-bytecode --python .venv/bin/python --require-hashes "$lock" || {
    # uv changes nothing before it has everything, so an environment that only lacked a download is still whole.
    ! grep -Eq "Failed to (download|fetch|build)|No solution found" "$log" || printf '%s\n' "$before" >"$stamp"
    failed "installing $lock failed"
  }
elif "$py" -m venv .venv >>"$log" 2>&1; then
  say "installing $lock into .venv with pip, as uv cannot be had; this takes several minutes ..."
  logged .venv/bin/python -m pip install --no-deps --require-hashes -r "$lock" || failed "installing $lock failed"
else
  die "neither uv nor pip with venv can be had for $py; install one (Debian, Ubuntu: apt install python3-venv) and run make again."
fi
key >.setup/stamp
mv .setup/stamp "$stamp"
say "done."
