# Everything from a fresh Debian 12 machine: `make demo` shows a program moving, `make check` runs the tests.
SHELL := /bin/bash
BUILD := build

.PHONY: all deps build demo check bench install clean
all: build

# Installs what is missing, at once when nothing is.
deps:
	@tools/deps

build: deps
	@cmake -G Ninja -B $(BUILD) -S . > $(BUILD)-configure.log 2>&1 || { cat $(BUILD)-configure.log; exit 1; }
	@rm -f $(BUILD)-configure.log
	@cmake --build $(BUILD)

demo: build
	@tests/demo

check: build
	@tools/check

bench: build
	@bench/run

install: build
	@cmake --install $(BUILD)

clean:
	rm -rf $(BUILD) $(BUILD)-asan
