#!/usr/bin/env bash
# Sees to a MySQL 9 server for `make test DB=mysql` and prints the folder it is in.
#
# Debian's stable releases carry MariaDB only; sid has MySQL, as mysql-server-core. A small tree of sid is unpacked into
# build/mysql, about a minute and 400 MB, and used again from then on; the tests run its mysqld in a chroot.
# Needs root and Debian (or another system with debootstrap and a Debian mirror: DEBIAN_MIRROR=http://…).
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
tree=${DBMESH_MYSQL_TREE:-$root/build/mysql}
# Test processes side by side ask at the same time: one unpacks, the others wait.
mkdir -p "$(dirname "$tree")"
exec 9>"$tree.lock"
flock 9
if [ -x "$tree/usr/sbin/mysqld" ]; then
    echo "$tree"
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "dbmesh: unpacking and running MySQL in $tree needs root" >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
fi
# The mirror this machine's own apt uses: the first source that is of Debian itself, not of its security updates.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' |
    sed -n 's/ Debian Debian$//p' | head -n 1)}
if [ -z "$mirror" ]; then
    echo "dbmesh: apt knows no Debian mirror: name one with DEBIAN_MIRROR=http://…" >&2
    exit 1
fi
# A half-unpacked tree must not be taken for a whole one: it gets its name when it is done.
making=$tree.making
rm -rf "$making"
mkdir -p "$making"
echo "dbmesh: unpacking MySQL into $tree" >&2
if ! debootstrap --variant=minbase --include=mysql-server-core sid "$making" "$mirror" >"$tree.log" 2>&1; then
    tail -n 20 "$tree.log" >&2
    exit 1
fi
rm -rf "$making"/var/cache/apt/archives/*.deb "$making"/var/lib/apt/lists/*
mv "$making" "$tree"
echo "$tree"
