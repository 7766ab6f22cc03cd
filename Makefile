# make fit    train the notebook's model; options: make fit ARGS="--config configs/quick.yaml"
# make test   lint, types and all tests
# make test-faults  the slower tests of docs/faults.md
# make lint   lint and types alone
# make format
# make page   write docs/draw.html again
# make weights train the packaged weights again (in about 10 minutes)
# make lock   write the versions in constraints.txt; ARGS=--upgrade takes the newest of each
PYTHON ?= python3
BIN := .venv/bin

.PHONY: fit test test-faults lint format lock weights page

fit: .venv/installed
	$(BIN)/python -m mnist_lit fit $(ARGS)

test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

test-faults: .venv/installed
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

weights: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m mnist_lit fit --config configs/accurate.yaml --name weights
	$(BIN)/python -m mnist_lit.checkpoints.safetensors
	$(BIN)/python -m mnist_lit.formats.page

page: .venv/installed
	$(BIN)/python -m mnist_lit.formats.page

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/installed
	$(BIN)/uv pip compile --quiet --universal $(ARGS) --python-version 3.11 --all-extras \
		--no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file constraints.txt pyproject.toml

# The mark is written last, so that an install that was cut short is done again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,export]"
	touch $@
