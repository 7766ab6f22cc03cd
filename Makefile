# make fit    train the notebook's model; options: make fit ARGS="--config configs/quick.yaml"
# make test   lint, types and tests; some of them: make test ARGS="-k resume"
# make test-faults  the slow tests that `make test` leaves out
# make test-compat  which versions of Keras, onnxruntime and OpenCV open what `export` writes
# make lint   lint and types alone
# make format
# make page   write docs/draw.html again
# make weights train the packaged weights again, after their teachers (takes about two hours)
# make lock   write the versions to constraints.txt; ARGS=--upgrade takes the newest of each
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Two workers suit two cores. A file's tests stay together because they share fixtures.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: fit test test-faults test-compat lint format lock weights page

fit: .venv/installed
	$(BIN)/python -m mnist_lit fit $(ARGS)

test: lint
	$(PYTEST) $(ARGS)

test-faults: .venv/installed-dev
	$(PYTEST) -m slow $(ARGS)

test-compat: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python scripts/check_versions.py .venv/compat

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

comma := ,
TEACHERS := $(foreach seed,0 1 2,runs/teacher$(seed)/version_0/checkpoints/last.ckpt$(comma))

weights: .venv/installed
	for seed in 0 1 2; do OMP_NUM_THREADS=1 $(BIN)/python -m mnist_lit fit --config configs/small.yaml \
		--data.elastic 0.02 --seed_everything $$seed --name teacher$$seed || exit; done
	OMP_NUM_THREADS=1 $(BIN)/python -m mnist_lit fit --config configs/accurate.yaml --name weights \
		--model.teacher "[$(TEACHERS)]"
	$(BIN)/python scripts/make_weights.py
	$(BIN)/python scripts/make_page.py

page: .venv/installed
	$(BIN)/python scripts/make_page.py

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/installed-dev
	$(BIN)/uv pip compile --quiet --universal $(ARGS) --python-version 3.11 --all-extras --group dev \
		--no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file constraints.txt pyproject.toml

# Each mark is written last: an install that was cut short is repeated.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo "Installing what fit needs into .venv: PyTorch, Lightning, Matplotlib and so on. This takes some"
	@echo "minutes the first time, and 6 GB of disk on Linux, where PyTorch comes with CUDA."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing what the tests need into .venv: pytest, mypy, Keras, ONNX Runtime, Playwright, Jupyter"
	@echo "and so on. This takes about half a minute the first time, and 500 MB of disk."
	@# pip of Python 3.11 to 3.13 is too old for --group.
	$(PIP) pip
	$(PIP) --group dev --editable ".[export,heic]"
	@touch $@
