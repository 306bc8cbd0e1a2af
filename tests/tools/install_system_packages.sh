#!/usr/bin/env bash
# Sees to the programs the tests and the bench start: as root on Debian or Ubuntu it installs what is missing,
# elsewhere it names what is missing and how to get it, and fails.
set -euo pipefail

# What must be there, and the Debian package that brings it.
programs=(
    "mariadbd mariadb-server"
    "mariadb-install-db mariadb-server"
    "mariadb mariadb-client"
    "haproxy haproxy"
    "etcd etcd-server"
    "sysbench sysbench"
    "cc build-essential"
    "pkg-config pkg-config"
)
PATH="$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec"

missing_names=()
missing_packages=()
need() {
    missing_names+=("$1")
    missing_packages+=("$2")
}

for line in "${programs[@]}"; do
    read -r program package <<<"$line"
    command -v "$program" >/dev/null || need "$program" "$package"
done
# mysqlclient, one of the clients under test, is compiled against the C library.
if ! command -v pkg-config >/dev/null \
    || ! { pkg-config --exists mysqlclient || pkg-config --exists mariadb || pkg-config --exists libmariadb; }; then
    need "the MySQL client library with headers" default-libmysqlclient-dev
fi
# It needs Python's headers too; an interpreter that uv brings has them, one of the system may not.
python="$(dirname "$0")/../../.venv/bin/python"
if [ -x "$python" ] && ! "$python" -c \
    'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
    need "Python.h" python3-dev
fi
# Debian keeps PostgreSQL's server programs out of the PATH, in a directory for each version.
if ! command -v psql >/dev/null || ! { command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; } >/dev/null; then
    need "the PostgreSQL server" postgresql
fi
if [ ${#missing_names[@]} -eq 0 ]; then
    exit 0
fi

mapfile -t packages < <(printf '%s\n' "${missing_packages[@]}" | sort -u)
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "dbmesh: installing ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The packages would start servers on the usual ports; the tests start their own and want no other.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    exit 0
fi

{
    echo "dbmesh: the tests need programs that are not installed here:"
    printf '  %s\n' "${missing_names[@]}"
    if command -v apt-get >/dev/null; then
        echo "Get them with:  sudo apt-get update && sudo apt-get install -y ${packages[*]}"
    else
        echo "On Debian or Ubuntu they are in the packages: ${packages[*]}"
        echo "On macOS: brew install mariadb postgresql etcd haproxy sysbench pkg-config"
    fi
} >&2
exit 1
