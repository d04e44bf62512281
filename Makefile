# The commands that one needs: `make demo`, `make test`, `make test-slow`, `make test-apps`, `make apk`, `make phones`,
# `make fuzz`, `make lock`, `make clean`.
# PyTorch's CPU build, where pip would take the CUDA one: see the README.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build/demo

ASSETS := apps/android_demo/app/src/main/assets/model/manifest.json

.PHONY: demo test test-slow test-apps apk phones lint fuzz lock clean env

env: $(VENV)/.complete

# The lock names everything but what PyTorch's CUDA build asks for, which pip adds where it takes that build.
$(VENV)/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dermedge needs Python 3.11 or newer"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

demo: env
	$(BIN)/dermedge demo --out $(DEMO)
	@echo "In a browser, with the camera: $(BIN)/dermedge setup browser --missing && $(BIN)/dermedge serve-web $(DEMO)/hierattn_xs"

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file of tests stays in one process, which keeps what it has converted; a thread each, so that they do not fight.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=10
test: lint
	$(PYTEST) -m "not slow"

# Phones' own runtimes, in DERMEDGE_PHONES or dermedge's cache: LiteRT for ARM, Android's TFLite, the newest and an old
# one, LiteRT.js for browsers, and MediaPipe Tasks. Tests use them where DERMEDGE_PHONES names the folder. Needs
# qemu-user-static, gcc, libc6-dev, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, maven, npm and chromium of Debian.
phones: env
	$(BIN)/dermedge setup arm --missing
	$(BIN)/dermedge setup legacy --only tflite-runtime
	$(BIN)/dermedge setup android --missing
	$(BIN)/dermedge setup android --tflite 2.14.0 --missing
	$(BIN)/dermedge setup android --tflite 2.8.0 --missing
	$(BIN)/dermedge setup browser --missing
	$(BIN)/dermedge setup mediapipe
	$(BIN)/dermedge setup netron

# What takes longer than a change may wait for, each with its reason in its mark; `.ci/run` runs both.
test-slow: env
	$(PYTEST) -m slow --ignore=tests/apps

# The apps: the web page in headless Chromium, the Kotlin under Maven, the Swift under Debian's Swift. As root on Debian
# it installs what is missing; elsewhere it says what that is. Each platform passes, fails or is skipped with the reason.
test-apps: env
	$(BIN)/python tests/apps/run.py $(APPS)

# The Android app, signed for trying out, with the model that is bundled in apps/android_demo, else with the demo's;
# GPU=1: with TFLite's GPU delegate.
apk: env
	@test -f $(ASSETS) || test -f $(DEMO)/hierattn_xs/manifest.json || $(MAKE) demo
	@test -f $(ASSETS) || $(BIN)/dermedge bundle $(DEMO)/hierattn_xs --app android --out apps/android_demo
	$(BIN)/python apps/android_demo/build_apk.py $(if $(GPU),--gpu build/apps/android-gpu,build/apps/android)

# Operations of networks, hostile files, frames: FUZZ times as many as in the suite (networks FUZZ / 10), other ones every
# time; it takes long and may be stopped at any time. Without DERMEDGE_PHONES nothing is run on ARM.
FUZZ ?= 100
fuzz: env
	DERMEDGE_FUZZ=$(FUZZ) $(PYTEST) -m fuzz --timeout=0

lock: env
	$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:
	rm -rf build runs .mypy_cache .pytest_cache .ruff_cache
