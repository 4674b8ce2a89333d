# The whole project. `make -C MODEL_DIR` shows what a model directory can do, `make -C all` the
# combined image.
include common.mk

.PHONY: demo train-all predict-all test-all builders tools clean
.PHONY: test test-faults soak lint constraints quality size inspect sbom tune
.PHONY: bench bench-predict bench-serve bench-peers bench-size bench-build bench-train
demo: ## train the three models, serve them, ask each one, stop: everything once
	@./demo.sh

train-all: ## build and run every model's train container
	@$(MAKE) --no-print-directory -C all $@

predict-all: ## serve every model from one container, on PORT (5111)
	@$(MAKE) --no-print-directory -C all $@

test-all: ## test that server with every model's instances
	@$(MAKE) --no-print-directory -C all $@

builders: ## make the two s2i builder images (BASE_IMAGE, ASSEMBLE_USER)
	@engines/builders.sh

tools: ## build s2i into tools/bin, where Go is
	@tools/s2i/build.sh

test: ## make what the tests need and run them
	@tests/run.sh

test-faults: ##- try every fault as often as tests/faults/README.md says; an hour or so
	@FAULTS=full tests/run.sh tests/faults tests/extras \
		tests/engines/test_build_sh.py tests/engines/test_docker_engine.py

soak: ##- serve for MINUTES (10) under load, swap models, kill workers; print what grew
	@MINUTES="$${MINUTES:-10}" tests/run.sh tests/faults/test_soak.py

lint: ## shellcheck, shfmt, ruff, mypy, hadolint
	@tools/lint.sh

quality: ## score the three models on UCI's own split
	@tools/quality.sh

size: ## what the predict images are made of; BUDGET_MB=130 fails above that
	@bench/size.sh

inspect: ##- show what is in a model file or pickle, and if it is sound (MODEL=NAME, or a path)
	@extras/inspect/inspect.sh

sbom: ##- list the packages in each image that was built, as CycloneDX JSON in .local/sbom
	@extras/sbom/sbom.sh

bench: ##- measure predicting, serving and peers (bench/README.md); minutes to an hour
	@bench/run.sh

bench-predict: ##- one prediction in process
	@bench/run.sh predict

bench-serve: ##- our servers under load from wrk
	@bench/run.sh serve

bench-peers: ##- ours beside other model servers
	@bench/run.sh beside

bench-build: ##- building an image, beside what s2i itself needs
	@bench/run.sh build

bench-train: ##- training, beside a bare fit; SCALE=100 for a hundred times the rows too
	@bench/run.sh training

bench-size: size ##- the same as make size

tune: ##- cross-validate the models' settings on UCI's training part; ten minutes
	@bench/run.sh tune

constraints: ##- pin everything beneath the requirements files anew, with hashes
	@tools/constraints.sh

clean: ##- remove .local (images of the local engine, environments, wheels) and models/*.pkl
	@rm -rf .local models/*.pkl
