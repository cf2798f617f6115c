# Querywright. `make demo` runs the whole main job, `make test` everything that needs no service and no GPU.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
WORK ?= work/demo
FULL ?=
PORT ?= 7860
QW := .venv/bin/querywright

# llama.cpp's AMX kernels crash on quantised models: on such a CPU it is built for AVX-512 without them.
LLAMA_FLAGS := $(shell grep -qw amx_tile /proc/cpuinfo 2>/dev/null && echo "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON")

.PHONY: setup test test-services services services-stop lint demo serve clean

setup: .venv/.done  ## an environment of its own in .venv, from the locked versions

.venv/.done: pyproject.toml constraints.txt
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	echo "installing (about 10 minutes from an empty cache: llama.cpp is compiled) ..."
	start=$$SECONDS
	CMAKE_ARGS="$(LLAMA_FLAGS)" .venv/bin/pip install -q -c constraints.txt -e '.[all,dev]'
	echo "installed in $$((SECONDS - start)) s"
	touch $@

lint: setup
	.venv/bin/ruff check .
	.venv/bin/mypy

test: setup lint  ## set-up, linters and the whole suite
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --durations=20 -m "not services"

services: setup  ## RabbitMQ, Redis and PostgreSQL on free ports of loopback; prints the variables that point to them
	@.venv/bin/python -m server.services start

services-stop:  ## end them and remove what they wrote
	@.venv/bin/python -m server.services stop

test-services: setup  ## the tests that need them; without them these say why they are skipped
	OMP_NUM_THREADS=1 .venv/bin/python -m server.services run -- bash -euc '
	.venv/bin/python -m pytest tests/services -rs
	QUERYWRIGHT_TEST_POSTGRES=$${QUERYWRIGHT_JOBS:-} .venv/bin/python -m pytest tests/server/jobs -rs -k postgresql'

demo: setup  ## the whole main job on embedded defaults; FULL=1 trains on everything
	WORK=$(WORK) FULL=$(FULL) PATH="$(CURDIR)/.venv/bin:$$PATH" bash benchmarks/demo.sh

serve: setup  ## the query assistant in the browser
	$(QW) serve --port $(PORT)

clean:  ## remove what the demo made (not the environment)
	rm -rf work
