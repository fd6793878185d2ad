# make run   set up and start: samples through the real daemon, then it stays up for your own mail
# make test  set up and run all tests
# make help  the rest

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/pip --disable-pip-version-check
# torch comes alone: its CPU and CUDA builds have the same name and version but different hashes.
TORCH   ?= torch==2.13.0
# Slack's Web API on this machine; 0.12 needs Node.js 24.
EMULATOR := emulate@0.11.2
AUDIT    := pip-audit==2.10.1
CORPORA ?=
OUT     ?= build/bundle
MINUTES ?= 60
SECONDS ?= 600
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help run demo test test-fast test-kills test-store-kills reliability ledger fuzz soak lint audit format bench fortnight bundle docs pictures slack lock servers clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## set up, start the daemon, send samples, stay up until Ctrl-C
	@$(BIN)/filterd demo --stay

demo: $(VENV)/.run ## the same, but end after the table
	@$(BIN)/filterd demo

test: $(VENV)/.dev $(VENV)/.slack ## set up and run all tests
	$(BIN)/pytest

test-fast: $(VENV)/.dev ## the tests that need neither torch nor mail servers
	$(BIN)/pytest -m "not e2e and not trainer"

test-kills: $(VENV)/.dev ## 100 times kill -9 between end of data and reply; some three minutes
	E2E_LONG=1 $(BIN)/pytest -s tests/e2e/s05_killed

test-store-kills: $(VENV)/.dev ## 600 times kill -9 while the database is written, copied or upgraded; some ten minutes
	STORE_LONG=1 $(BIN)/pytest -m scenario tests/integration/test_store_crashes.py tests/integration/test_store_backup.py tests/integration/test_store_migrations.py --scenarios build/scenarios/test-store-kills.json

reliability: $(VENV)/.dev ## all scenarios, and docs/reliability.md anew from what became of them
	status=0; $(BIN)/pytest -m scenario --scenarios build/scenarios/reliability.json || status=$$?; \
	$(BIN)/python tests/scenario_table.py build/scenarios/reliability.json $(filter-out build/scenarios/reliability.json,$(wildcard build/scenarios/*.json)) > docs/reliability.md && exit $$status

ledger: $(VENV)/.dev ## 20,000 messages while every fault is thrown at the daemon; some 15 minutes
	LEDGER_LONG=1 $(BIN)/pytest -s tests/integration/test_fault_ledger.py --scenarios build/scenarios/ledger.json

fuzz: $(VENV)/.dev ## look for mail that breaks reading or stamping, each target for its share of the time: make fuzz [SECONDS=600]
	@$(PIP) install --quiet --require-hashes --no-deps -r requirements/fuzz.txt
	$(BIN)/python tests/fuzz/fuzz_all.py --seconds $(SECONDS)

soak: $(VENV)/.dev ## an hour of mixed mail through the daemon: does it lose, leak or slow down? make soak [MINUTES=60]
	$(BIN)/python tests/bench/soak.py --minutes $(MINUTES)

lint: $(VENV)/.dev ## ruff, mypy, import-linter, bandit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive filterd bot trainer --tests B613,B614,B615 # what ruff's S rules lack

audit: $(VENV)/.dev ## known vulnerabilities in what we depend on; needs a package index that tells them
	$(BIN)/uv tool run --quiet --from "$(AUDIT)" pip-audit --strict --disable-pip --require-hashes -r requirements/base.txt -r requirements/dev.txt

format: $(VENV)/.dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.run ## CPU per message, memory of a worker, time to start
	$(BIN)/python tests/bench/floors.py

fortnight: $(VENV)/.dev ## a simulated fortnight of nights: make fortnight MAIL=folder CHAMPION=bundle [OUT=folder]; half an hour or more
	@test -n "$(MAIL)" && test -n "$(CHAMPION)" || { echo "make fortnight: set MAIL to a folder with spam/ and ham/, and CHAMPION to a bundle that was not trained on it (docs/nights.md)"; exit 2; }
	$(BIN)/python tests/bench/fortnight.py --mail "$(MAIL)" --champion "$(CHAMPION)" --out "$(OUT)"

bundle: $(VENV)/.dev ## train the shipped bundle anew: make bundle CORPORA=folder [OUT=folder]
	@test -n "$(CORPORA)" || { echo "make bundle: set CORPORA to the folder of unpacked corpora (docs/training.md)"; exit 2; }
	$(BIN)/filterd-trainer ratings --out "$(CORPORA)"
	test -d "$(OUT).first" || $(BIN)/filterd-trainer bootstrap --corpora "$(CORPORA)" --out "$(OUT).first" --epochs 2
	test -d "$(OUT).second" || $(BIN)/filterd-trainer bootstrap --corpora "$(CORPORA)" --start "$(OUT).first" --out "$(OUT).second" --seed 1 --rate 1e-4 --limit 750
	$(BIN)/filterd-trainer bootstrap --corpora "$(CORPORA)" --start "$(OUT).second" --out "$(OUT)" --seed 2 --rate 7e-5 --limit 750

docs: $(VENV)/.run ## write the generated pages anew
	$(BIN)/python -c "from bot.settings import BotSettings; from trainer.settings import TrainerSettings; from filterd.documentation import settings_page; print(settings_page({'bot': BotSettings, 'trainer': TrainerSettings}), end='')" > docs/settings.md
	$(BIN)/python -c "from trainer.card import shipped_card; print(shipped_card(), end='')" > docs/model-card.md

pictures: $(VENV)/.run ## draw all that people see in Slack anew, for docs/slack.md; needs npm and chromium
	$(PIP) install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/filterd-bot preview build/preview --png
	mkdir -p docs/images/slack
	cp build/preview/*.png docs/images/slack/

slack: $(VENV)/.slack ## the Slack of the tests (Node.js 20)

servers: ## (root, Debian) what the tests start: mail and database servers, a browser for pictures
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postfix dovecot-core dovecot-lmtpd postgresql systemd libseccomp2 chromium fonts-noto-color-emoji fonts-liberation
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm

lock: $(VENV)/.dev ## resolve requirements/*.txt anew from pyproject.toml
	echo 'torch ; python_version < "0"' > $(VENV)/no-torch.txt
	$(COMPILE) pyproject.toml --extra postgres --extra encryption --extra bot --extra trainer --extra dev --override $(VENV)/no-torch.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/base.txt
	printf 'hatchling\neditables\n' | $(COMPILE) - -o requirements/build.txt
	printf 'atheris>=3,<4\n' | $(COMPILE) - -o requirements/fuzz.txt

clean: ## remove what was built and the environment
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.python:
	@echo "set-up 1/3: a Python environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "filterd needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: apt-get install python3-venv, then again"; rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/base.txt requirements/build.txt pyproject.toml
	@echo "set-up 2/3: what the daemon needs"
	@$(PIP) install --quiet --progress-bar on --require-hashes --no-deps -r requirements/base.txt -r requirements/build.txt
	@echo "set-up 3/3: filterd itself"
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Without npm the tests that need it say so and are skipped; in CI they fail.
$(VENV)/.slack: $(VENV)/.python
	@echo "set-up for tests: the Slack that they talk to"
	@if command -v npm >/dev/null; then npm install --silent --no-package-lock --no-audit --no-fund --prefix $(VENV)/slack $(EMULATOR) && touch $@; \
	else echo "no npm here: tests that talk to Slack will be skipped"; fi

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "set-up for tests 1/2: torch (some hundred megabytes)"
	@$(PIP) install --quiet --progress-bar on "$(TORCH)"
	@echo "set-up for tests 2/2: trainer and tools"
	@$(PIP) install --quiet --progress-bar on --require-hashes --no-deps -r requirements/dev.txt
	@touch $@
