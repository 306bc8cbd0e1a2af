#!/usr/bin/env bash
# Runs uv, and installs it first where it is missing: in a virtual environment of its own under build/, so that
# systems whose Python is managed by their packages (PEP 668) and users who are not root are served alike.
set -euo pipefail
cd "$(dirname "$0")/../.."

home="$PWD/build/uv"

find_uv() {
    if uv --version >/dev/null 2>&1; then
        echo uv
    elif "$home/bin/uv" --version >/dev/null 2>&1; then
        echo "$home/bin/uv"
    else
        return 1
    fi
}

fail() {
    echo "dbmesh: $1" >&2
    exit 1
}

install_uv() {
    local python
    python=$(command -v python3 || command -v python) || fail "Python is missing: install Python 3.11, 3.12 or 3.13"
    echo "dbmesh: installing uv into build/uv" >&2
    rm -rf "$home"
    if "$python" -m venv "$home" >/dev/null 2>&1 && "$home/bin/python" -m pip install --quiet uv >&2; then
        return
    fi
    # Debian's python3 comes without venv; its pip, when present, can fill a directory without touching the system.
    rm -rf "$home"
    if "$python" -m pip --version >/dev/null 2>&1 \
        && { "$python" -m pip install --quiet --target "$home" --break-system-packages uv >&2 \
            || "$python" -m pip install --quiet --target "$home" uv >&2; }; then
        return
    fi
    rm -rf "$home"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >&2
        "$python" -m venv "$home" >&2
        "$home/bin/python" -m pip install --quiet uv >&2
        return
    fi
    fail "uv is missing and neither venv nor pip works here: install python3-venv (Debian) or uv itself, then repeat"
}

uv=$(find_uv) || { install_uv; uv=$(find_uv) || fail "uv was installed into build/uv and does not run"; }
# Trust what the system trusts, as pip does: behind a proxy that signs its own certificates uv's bundled list fails.
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ "$(uname)" = Darwin ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
fi
exec "$uv" "$@"
