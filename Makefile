# Each target makes its own .venv and installs what it needs; nothing has to be done by hand.
PYTHON ?= python3
BIN := .venv/bin
# Beside them JAX would look for a TPU and a GPU whenever it starts.
COMPILERS := .venv-compilers/bin
ARGS ?=
# Threads that wait leave the processor to those who work, and freed memory stays with the process
# as in a training program: else the system maps large arrays anew in some calls and not in others.
TIMED := OMP_WAIT_POLICY=passive GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:$\
glibc.malloc.trim_threshold=8589934592:glibc.malloc.arena_max=1

.PHONY: demo test zoo thorough test-compilers bench bench-scaling bench-compilers box-regression peers lint docs doctest smoke notebooks clean

demo: .venv/.demo  ## train a detector on aerial photos and draw what it finds
	$(BIN)/python notebooks/tree_detection.py $(ARGS)

test: .venv/.test  ## the laws over every function, and each room's own tests
	$(BIN)/python -m pytest tests --numprocesses auto --dist loadgroup $(ARGS)

zoo: .venv/.test  ## edge inputs for every function, dtype and platform, that `test` leaves out
	$(BIN)/python -m pytest tests/laws/test_total.py tests/laws/test_platforms.py --numprocesses auto --dist loadgroup \
		--thorough -m thorough $(ARGS)

thorough: .venv/.test  ## what `test` leaves out: every setting and every dtype of every law
	$(BIN)/python -m pytest tests --numprocesses auto --dist loadgroup --thorough -m thorough $(ARGS)

test-compilers: .venv-compilers/.compilers  ## hold what those compilers make to its limits
	$(COMPILERS)/python -m pytest tests/compilers/test_accelerators.py --optimized \
		--numprocesses auto $(ARGS)

bench: .venv/.bench  ## print the tables of the README: speed, precision, what others get wrong
	$(TIMED) $(BIN)/python -m bench.speed --picture docs/speed.png $(ARGS)
	$(BIN)/python -m bench.compile_time
	$(BIN)/python -m bench.precision
	$(BIN)/python -m bench.differences

bench-scaling: .venv/.bench  ## time and memory against size, drawn to docs/scaling.png
	$(TIMED) $(BIN)/python -m bench.scaling --picture docs/scaling.png $(ARGS)

bench-compilers: .venv-compilers/.compilers  ## what compilers for TPUs and GPUs make of each loss
	$(COMPILERS)/python -m bench.compilers --json output/compilers.json $(ARGS)

box-regression: .venv/.demo  ## move boxes down the losses of the IoU family, as two papers do
	$(BIN)/python -m bench.box_regression $(ARGS)

peers: .venv/.peers .venv/.test  ## compare values and gradients with PyTorch's libraries
	$(BIN)/python -m pytest bench/peers -W ignore

lint: .venv/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.docs  ## write the reference to site/
	$(BIN)/pdoc --docformat google --math --output-directory site jaxloss

doctest: .venv/.demo  ## run the examples of the README
	JAX_PLATFORMS=cpu $(BIN)/python -m doctest -o NORMALIZE_WHITESPACE README.md

smoke: .venv/.demo .venv/.dev .venv/.test  ## run the notebooks from end to end with a few steps
	notebooks/smoke

notebooks: .venv/.demo .venv/.dev  ## execute the notebooks and write their pictures into them
	cd notebooks && ../$(BIN)/jupytext --to ipynb --execute tree_detection.py box_regression.py

clean:
	rm -rf .venv .venv-compilers output site

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@

.venv-compilers/.compilers: pyproject.toml
	$(PYTHON) -m venv .venv-compilers
	$(COMPILERS)/python -m pip install --quiet --disable-pip-version-check --editable ".[compilers]"
	touch $@
