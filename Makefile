# Two verbs for developers, test and lint; demo for everyone else. Each makes .venv by itself when it is missing or stale.
#
#   make demo    install, render the example manifest on this machine, say where the images are
#   make test    every test but chaos, benchmarks, browser and infrastructure; TESTS=tests/pipeline runs a part
#   make test-browser   the report page in headless Chromium (Debian, Ubuntu: apt install chromium)
#   make screenshot     take the README's picture of the report page anew
#   make soak    the properties of recovery over 5,000 schedules that nobody has tried before; takes some minutes
#   make test-infra     cluster files, Terraform where it is installed, metrics with Prometheus (apt install prometheus)
#   make chaos   real drivers and clusters while drivers, workers, nodes and the store fail; CHAOS_SEED=7 for other failures
#   make lint    ruff and mypy --strict
#   make audit   licences of everything that comes along, and weaknesses that are known of it; asks PyPI's advisories
#   make bench   the figures, each beside its baseline; make bench-gpu on a machine with a GPU
#   make clean   remove what the targets left here, except .venv
#
# PYTHON=/path/to/python picks the interpreter that .venv is made with.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := test
.DELETE_ON_ERROR:
.PHONY: demo test test-browser test-infra screenshot soak chaos lint audit bench bench-gpu clean

PACKAGES := pipeline infra jobs configs tests
TESTS ?= tests --ignore=tests/chaos --ignore=tests/benchmarks --ignore=tests/browser --ignore=tests/infrastructure
# Many tests wait for real clusters and real time-outs: three processes keep two cores busy.
TEST_PROCESSES ?= 3
PIP_AUDIT := 2.10.1
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# The first interpreter that is new enough and can make a venv; 3.11 first, for it is what the constraints were tested on.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
FITS := import sys, venv, ensurepip; assert sys.version_info >= (3, 11)
FIND_PYTHON = for p in $(CANDIDATES); do if "$$p" -c '$(FITS)' >/dev/null 2>&1; then command -v "$$p"; break; fi; done

# A .venv that fits is brought up to date; a missing or broken one is made anew.
.venv/.installed: pyproject.toml constraints.txt
	@if ! .venv/bin/python -c '$(FITS); import pip' >/dev/null 2>&1; then \
	  python="$(PYTHON)"; python="$${python:-$$($(FIND_PYTHON))}"; \
	  if ! "$${python:-false}" -c '$(FITS)' >/dev/null 2>&1; then \
	    echo "make: Spotrender needs Python 3.11 or newer with its venv module; found: $$("$${python:-python3}" --version 2>&1 || true)" >&2; \
	    echo "      Install one (Debian, Ubuntu: apt install python3.11-venv), or: make PYTHON=/path/to/python3.11" >&2; \
	    exit 1; \
	  fi; \
	  echo "== environment: .venv, $$("$$python" --version)"; \
	  "$$python" -m venv --clear .venv; \
	fi
	@echo "== install: $(TORCH), the largest download"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	@echo "== install: everything else, as constraints.txt says"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/.installed
	@echo "== demo: rendering configs/manifests/shapes.jsonl with the model 'shapes' into demo/store"
	@.venv/bin/spotrender submit configs/manifests/shapes.jsonl --model shapes --store demo/store --name demo
	@.venv/bin/spotrender download demo --store demo/store --to demo/images >/dev/null
	@echo "== demo: done"
	@echo "images:      $(CURDIR)/demo/images"
	@echo "cost report: $$(ls -d "$(CURDIR)"/demo/store/jobs/demo-*/report.html)"

test: .venv/.installed
	@echo "== test: pytest"
	@.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10 --durations-min=5 $(TESTS)

test-browser: .venv/.installed
	@echo "== test-browser: the report page in Chromium"
	@.venv/bin/python -m pytest --durations=5 --durations-min=5 tests/browser

test-infra: .venv/.installed
	@echo "== test-infra: cluster files and Terraform"
	@.venv/bin/python -m pytest --durations=5 --durations-min=5 tests/infrastructure

screenshot: .venv/.installed
	@echo "== screenshot: tests/browser/report.png"
	@SPOTRENDER_KEEP_SCREENSHOT=1 .venv/bin/python -m pytest -q tests/browser -k silent

soak: .venv/.installed
	@echo "== soak: 5,000 schedules"
	@HYPOTHESIS_PROFILE=soak .venv/bin/python -m pytest tests/pipeline/test_recovery.py

chaos: .venv/.installed
	@echo "== chaos: real clusters, real kills"
	@.venv/bin/python -m pytest tests/chaos

lint: .venv/.installed
	@echo "== lint: ruff check"
	@.venv/bin/ruff check .
	@echo "== lint: ruff format"
	@.venv/bin/ruff format --check --quiet .
	@echo "== lint: mypy --strict"
	@.venv/bin/mypy $(PACKAGES)

audit: .venv/.installed
	@echo "== audit: licences"
	@.venv/bin/python -m tests.licences
	@echo "== audit: known weaknesses, by pip-audit $(PIP_AUDIT)"
	@test -x build/audit/bin/pip-audit || { .venv/bin/python -m venv build/audit && build/audit/bin/python -m pip install --quiet \
	  --disable-pip-version-check pip-audit==$(PIP_AUDIT); }
	@build/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off

bench: .venv/.installed
	@echo "== bench: tests/benchmarks"
	@.venv/bin/python -m tests.benchmarks

bench-gpu: .venv/.installed
	@echo "== bench-gpu: levers, batch curve and a whole worker on this machine's GPU, within ten minutes"
	@.venv/bin/python -m tests.benchmarks --only j

clean:
	@rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
