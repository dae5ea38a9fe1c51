# make demo   one commune's day and an emergency, with real parts (DEMO=once ends by itself and judges what was heard)
# make test   every test, two files at a time (TESTS=tests/web; WORKERS=0 one by one)      make check  ruff, mypy, import-linter
# make simulate  many nodes' years in virtual time, every law watched (SEEDS=2700; SEED=123 VERBOSE=1 replays one)
# make fuzz   every parser of outside bytes, coverage-guided (FUZZ_S=60 seconds each; FUZZ_ONLY=csr,rules; FUZZ_TOGETHER=2)
# make bench  the figures into build/bench.json (ONLY=confirm,stop for some of them)
# make image  the node's image into build/image (root; VERSION=2026.11.1 BUILD=1 KEYRING=bundles.pem)
# make hil    that image in QEMU: boot, enrolment, sound, updates, faults (HIL=hil/test_1_first_sound.py for some); hil-long also what takes hours
# make lock   pin the newest versions that pyproject.toml admits
.PHONY: demo test check bench fuzz simulate image hil hil-long lock setup
.DEFAULT_GOAL := help
TESTS ?= tests
WORKERS ?= 2
PY := .venv/bin/python

help:
	@sed -n 's/^# //p' Makefile

demo:
	@tools/setup run
	@$(PY) -m demo $(if $(filter once,$(DEMO)),--once)

test:
	@tools/setup test
	$(PY) -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

check:
	@tools/setup test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench:
	@tools/setup bench
	$(PY) -m tests.bench $(if $(ONLY),--only $(ONLY))

fuzz:
	@tools/setup test
	@$(PY) -c "import atheris" 2>/dev/null || $(PY) -m pip install --quiet "atheris>=3"
	$(PY) -m tests.fuzz --seconds $(or $(FUZZ_S),60) $(if $(FUZZ_ONLY),--only $(FUZZ_ONLY)) --together $(or $(FUZZ_TOGETHER),1)

simulate:
	@tools/setup test
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200)) $(if $(FIRST),--first $(FIRST)) $(if $(VERBOSE),--verbose)

image:
	@tools/setup hil
	.venv/bin/loa-provision image build --version $(or $(VERSION),0.1.0) --build $(or $(BUILD),1) --keyring $(or $(KEYRING),bundles.pem) --out build/image

hil hil-long:
	@tools/setup hil
	@$(PY) -m hil $(if $(filter hil-long,$@),--long) $(HIL)

lock:
	@tools/setup run
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev --extra hil -c requirements.lock $$(sed -n "s/^\\([A-Za-z0-9._-]*\\)==.*/--no-emit-package \\1/p" requirements.lock) pyproject.toml -o hil/requirements.lock
	sed -i "/^# The following packages were excluded/,$$ d" hil/requirements.lock
