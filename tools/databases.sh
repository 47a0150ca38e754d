#!/bin/sh
# Installs PostgreSQL and MariaDB for the tests that need them where this can be done without asking: as root, with
# apt-get.
set -eu
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && command -v mariadbd mariadb-install-db mariadb >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "set-up: installing postgresql and mariadb-server-core for the tests of databases ..."
  # Without a cluster of its own, and without MariaDB's service: no server is started, and none listens.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  log=$(mktemp)
  if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql mariadb-server-core mariadb-client-core; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -n 3 "$log" >&2
fi
echo "set-up: without PostgreSQL and MariaDB their tests are skipped (Debian: apt install postgresql mariadb-server-core mariadb-client-core)." >&2
