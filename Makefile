# make demo   one commune's day and an emergency, with real parts (DEMO=once ends by itself and judges what was heard)
# make test   every test                    make check  ruff, mypy, import-linter
# make bench  the figures into build/bench.json (ONLY=confirm,stop for some of them)
# make lock   pin the newest versions that pyproject.toml admits
.PHONY: demo test check bench lock setup
.DEFAULT_GOAL := help
TESTS ?= tests
PY := .venv/bin/python

help:
	@sed -n 's/^# //p' Makefile

demo:
	@tools/setup run
	@$(PY) -m demo $(if $(filter once,$(DEMO)),--once)

test:
	@tools/setup test
	$(PY) -m pytest $(TESTS)

check:
	@tools/setup test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench:
	@tools/setup bench
	$(PY) -m tests.bench $(if $(ONLY),--only $(ONLY))

lock:
	@tools/setup run
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock
