# Everything a person or a machine does with this tree, by name. `make demo` needs Python, make and network;
# `make test` installs the servers it needs by itself (as root on Debian or Ubuntu, else it says what is missing).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := tests/tools/uv.sh
# A test may not outlive this; a hanging server then costs minutes, not a CI hour.
PYTEST := $(PYTHON) -X dev -X faulthandler -m pytest
# Of what -X dev turns on, the allocator looks for mistakes of C, of which this tree has no line; it took a sixth of the time.
export PYTHONMALLOC ?= pymalloc
# Test processes side by side, each with servers of its own; a file's tests stay in one.
JOBS ?= 2
BESIDE := --dist loadfile --no-loadscope-reorder --tx '$(JOBS)*popen//python=$(PYTHON) -X dev -X faulthandler'
T ?=
ARGS ?=
# The data sources of the integration tests: mariadb, or mysql (9, unpacked by tests/tools/mysql_tree.sh; needs root).
DB ?= mariadb
export DBMESH_TEST_DB := $(DB)

.PHONY: help setup demo test check unit integration differential compatibility chaos chaos-bank chaos-mesh chaos-reshard chaos-switches bench lock setup-dev

help:  ## these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## .venv with .venv/bin/dbmesh in it, from the lock file
	@$(UV) sync --locked --inexact --no-default-groups

setup-dev: setup
	@tests/tools/install_system_packages.sh
	@$(UV) sync --locked --inexact --all-extras

demo: setup  ## a sharded shop on 127.0.0.1:3307, no server needed (ARGS="--engine mariadb --port 3308", ARGS=--reshard)
	@$(VENV)/bin/dbmesh demo $(ARGS)

test: setup-dev  ## everything: lint, types, layers, unit and integration tests (DB=mysql: against MySQL 9)
	@$(MAKE) --no-print-directory check
	$(PYTEST) $(BESIDE) $(ARGS)

check:  ## lint, format, types, layers (after `make test` has installed the tools once)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

unit:  ## the tests that need no server
	$(PYTEST) tests/unit $(ARGS)

integration:  ## tests against real servers; one theme with T=clients (statements, protocol, failures, fuzz)
	$(PYTEST) tests/integration/$(T) $(ARGS)

N ?= 20000
SEED ?= 1
differential: setup-dev  ## N random statements from SEED on a mesh and on one MariaDB; ends with an error when an answer differs
	$(PYTHON) -m tests.differential --statements $(N) --seed $(SEED) $(ARGS)

compatibility: setup-dev  ## other projects' tests on plain MariaDB and through dbmesh (ARGS="--suite django --run sharded")
	$(PYTHON) -m tests.compatibility $(ARGS)

KILLS ?= 50
ROUNDS ?= 3
chaos: setup-dev  ## all that follows with chaos- in its name, the whole of it: hours
	$(MAKE) --no-print-directory chaos-bank chaos-mesh chaos-switches
	$(MAKE) --no-print-directory chaos-reshard ARGS="--mode double-write"
	$(MAKE) --no-print-directory chaos-reshard ARGS="--mode cdc"
	$(MAKE) --no-print-directory chaos-reshard ARGS="--engine postgres"

chaos-bank: setup-dev  ## money moves between four data sources while sidecars and servers are killed and links fail (KILLS=50)
	$(PYTHON) -m tests.chaos --kills $(KILLS) $(ARGS)

chaos-mesh: setup-dev  ## etcd, sidecars, replicas, data sources and the network are broken one after another while rules change (ROUNDS=3)
	$(PYTHON) -m tests.chaos.mesh --rounds $(ROUNDS) $(ARGS)

chaos-reshard: setup-dev  ## a table moves under clients while sidecars, servers and etcd are killed at each step of the job (ARGS="--mode cdc", "--engine postgres", "--every 10")
	$(PYTHON) -m tests.chaos.reshard $(ARGS)

chaos-switches: setup-dev  ## 64 connections write and read while a table is cut over and rolled back, to and fro: rows compared, the longest waits
	$(PYTHON) -m tests.chaos.reshard.switches $(ARGS)

bench:  ## the numbers of docs/PERFORMANCE.md; ARGS=--quick for a first look, JSON goes to build/bench.json
	$(PYTHON) -m tests.bench $(ARGS)

lock:  ## write uv.lock anew after a change of dependencies
	@$(UV) lock
