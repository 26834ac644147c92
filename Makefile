# Two commands do everything on a fresh machine with Python >= 3.11: `make notebooks` and `make test`.
PYTHON ?= python3
VENV_FLAGS ?=
BIN := .venv/bin
VAE ?=
SPACE ?=
IMAGES ?=
RUN ?=
ONLY ?=
AGAIN ?=
PORT ?=
ARGS ?=
JOBS ?= 2

.PHONY: help setup test mutants test-browser test-comfyui js test-js lint types unit notebooks notebooks-fast refresh-notebooks lab voila tables bench bench-quick models trained cards palettes interposers upscalers families programs estimates results timings gallery docs clean
help:
	@grep -E '^## ' Makefile | sed 's/^## //'

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed; name one with: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -w . || { echo "$(CURDIR) cannot be written to: copy the project to a folder that can, and run make there" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV_FLAGS) .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

## make setup            only the environment, into .venv
setup: .venv/.ready

## make notebooks        run all notebooks into runs/notebooks/, or go on with them; AGAIN=1: start over; ONLY='06 07': just these
##                       VAE=… SPACE=… IMAGES=… RUN=name: on your own VAE or pictures, into runs/name/
notebooks: .venv/.ready
	@$(BIN)/python notebooks/run.py $(ONLY) $(if $(AGAIN),--again) $(if $(RUN),--run "$(RUN)") $(if $(VAE),--vae "$(VAE)") $(if $(SPACE),--space "$(SPACE)") $(if $(IMAGES),--images "$(IMAGES)")

notebooks-fast: .venv/.ready
	$(BIN)/python notebooks/run.py --fast

## make refresh-notebooks  run them in place, each training to its end, into what is committed: notebooks/, figures/; ONLY='06 07'
refresh-notebooks: .venv/.ready
	$(BIN)/python notebooks/run.py --refresh $(ONLY)

## make test             lint, types, unit tests, and a fast pass over every notebook
test: lint types unit notebooks-fast

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory test-js; \
	  else echo "no Node here: the modules of the widgets are not checked, and widgets.js is used as it is"; fi

# Who only uses the package, or works on its Python, needs no Node.
node_modules/.ready: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

## make js               join the widgets' modules (latentfit/compare/widgets/js) into the one widgets.js; needs Node 20 or newer
js: node_modules/.ready
	npm run --silent format
	npm run --silent build

## make test-js          lint, types and unit tests of the widgets' modules, and whether widgets.js is made of them
test-js: node_modules/.ready
	npm run --silent check
	npm run --silent test

types: .venv/.ready
	$(BIN)/mypy

unit: .venv/.ready
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder tests latentfit

## make mutants          plant known faults one at a time, and tell which no test notices; ARGS='--only splits,seeds'
mutants: .venv/.ready
	$(BIN)/python -m tests.mutants --jobs $(JOBS) $(ARGS)

.venv/.browser: .venv/.ready tests/support/chromium.py
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser]'
	$(BIN)/python -m tests.support.chromium
	@touch $@

## make test-browser     the widgets in a real JupyterLab and the report from disk, used as a person would, in Chromium
test-browser: .venv/.browser
	$(BIN)/python -m pytest tests/browser

## make test-comfyui     the node pack in a real ComfyUI, which LATENTFIT_COMFYUI names (docs/comfyui.md)
test-comfyui: .venv/.ready
	$(BIN)/python -m pytest tests/comfyui_server

## make lab              JupyterLab on the notebooks
lab: .venv/.ready
	$(BIN)/jupyter lab notebooks

.venv/.voila: .venv/.ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[voila]'
	@touch $@

## make voila            the workbench as an application, without its code; PORT=8866, ARGS='--no-browser' or other flags of Voilà
voila: .venv/.voila
	@echo "bundled pictures: encoded at the first start, which takes about half a minute, into runs/notebooks/"
	@$(BIN)/python -c 'from latentfit.tutorial import open_pairs, open_shown; given = (None, "sd1", "bundled", "runs/notebooks"); open_pairs(*given); open_shown(*given)'
	@echo "the page runs the notebook each time that it is opened: its first widget stands after some ten seconds"
	JUPYTER_PATH="$(CURDIR)/notebooks$${JUPYTER_PATH:+:$$JUPYTER_PATH}" $(BIN)/voila --template=offline \
	  --progressive_rendering=True $(if $(PORT),--port=$(PORT)) $(ARGS) notebooks/10_workbench_and_live_previews.ipynb

## make tables           fit and score the tables of data/tables; needs LATENTFIT_ASSETS with weights/ and images/
tables: .venv/.ready
	$(BIN)/python -m recipes.tables

## make models           train the mini VAEs and cell decoders that ship, into runs/train; needs LATENTFIT_ASSETS; hours
models: .venv/.ready
	$(BIN)/python -m recipes.models

## make trained          all networks, stores first, hours divided by held-out curves: make trained HOURS=6; goes on after a kill
trained: .venv/.ready
	$(BIN)/python -m recipes.all --hours $(or $(HOURS),6) $(ARGS)

## make cards            score what was trained and put it into data/vaes and data/models; needs LATENTFIT_ASSETS
cards: .venv/.ready
	$(BIN)/python -m recipes.cards.models

## make palettes         train and score the palettized decoders of data/models; needs LATENTFIT_ASSETS; half an hour
palettes: .venv/.ready
	$(BIN)/python -m recipes.palettes

## make interposers      train and score the maps between latents of data/models; needs LATENTFIT_ASSETS; two hours
interposers: .venv/.ready
	$(BIN)/python -m recipes.interposers

## make upscalers      train and score the upscalers of latents of data/models; needs LATENTFIT_ASSETS; two hours
upscalers: .venv/.ready
	$(BIN)/python -m recipes.upscalers

## make families        statistics that tell latent spaces and domains apart (data/spaces); needs LATENTFIT_ASSETS; ten minutes
families: .venv/.ready
	$(BIN)/python -m recipes.space_statistics $(ARGS)

## make programs      write docs/programs.md, and the list in docs/commands.md, from the registry of programs
programs: .venv/.ready
	$(BIN)/python -m recipes.cards.programs

## make estimates       score tables on simulated x0 estimates (data/estimates); needs LATENTFIT_ASSETS and `make tables`
estimates: .venv/.ready
	$(BIN)/python -m recipes.estimates

## make results         score all that ships on every kind of picture (data/results), refresh docs/, cards, README
results: .venv/.ready
	$(BIN)/python -m recipes.score_sets $(ARGS)
	$(BIN)/python -m recipes.cards.results

## make timings         time the decoders' tables again, each in its best memory layout
timings: .venv/.ready
	$(BIN)/python -m recipes.timings

## make gallery          draw what every bundled map makes of one held-out photograph (figures/gallery); needs LATENTFIT_ASSETS
gallery: .venv/.ready
	$(BIN)/python -m recipes.cards.gallery

.venv/.docs: .venv/.ready
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

## make docs             the documentation site, into build/site: opens from disk, needs no network; a broken link fails
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m properdocs build --strict -f mkdocs.yml
	@echo "open build/site/index.html"

## make bench            ratios measured in one run, written to benchmarks/results/
bench: .venv/.ready
	$(BIN)/python -m benchmarks.run

bench-quick: .venv/.ready
	$(BIN)/python -m benchmarks.run --quick

clean:
	rm -rf .venv build dist runs .mypy_cache .ruff_cache .pytest_cache
