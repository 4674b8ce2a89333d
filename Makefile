# The targets of the project. `make -C MODEL_DIR` lists the targets of a model directory.
# `make -C all` lists the targets of the combined image.
include common.mk

.PHONY: demo train-all predict-all test-all stop logs generate builders tools doctor clean
.PHONY: clean-images
.PHONY: test test-faults test-tables soak lint constraints quality size inspect sbom tune describe
.PHONY: bench bench-predict bench-serve bench-peers bench-size bench-build bench-demo bench-train
.PHONY: bench-encodings bench-estimators
demo: ## train the models, serve them, send test requests, stop the server
	@./demo.sh

train-all: ## build and run the train image of every model
	@$(MAKE) --no-print-directory -C all $@

predict-all: ## serve all models from one container on PORT (5111)
	@$(MAKE) --no-print-directory -C all $@

test-all: ## test the server of predict-all with the test instances of every model
	@$(MAKE) --no-print-directory -C all $@

stop: ## stop the server of predict-all that runs in the background
	@$(MAKE) --no-print-directory -C all $@

logs: ## show the log of that server
	@$(MAKE) --no-print-directory -C all $@

generate: ##- regenerate the files of all/ after a change of routes or requirements
	@$(MAKE) --no-print-directory -C all $@

doctor: ## check this machine: engine, programs, disk, package index, permissions, port
	@engines/doctor.sh

builders: ## build the two s2i builder images (BASE_IMAGE, ASSEMBLE_USER)
	@engines/builders.sh

tools: ## build s2i into tools/bin (needs Go)
	@tools/s2i/build.sh

test: ## install the test dependencies and run the tests
	@tests/run.sh

test-faults: ##- run all fault tests (tests/faults/README.md); takes an hour
	@FAULTS=full tests/run.sh tests/faults tests/extras \
		tests/engines/test_build_sh.py tests/engines/test_docker_engine.py

test-tables: ##- train and serve all kinds of tables with all families of estimators
	@TABLES=full tests/run.sh tests/utils/training

soak: ##- serve under load for MINUTES (10), replace models, kill workers
	@MINUTES="$${MINUTES:-10}" tests/run.sh tests/faults/test_soak.py

lint: ## check shell, Python and the Dockerfile
	@tools/lint.sh

quality: ## score the three models on UCI's own split
	@tools/quality.sh

size: ## list the contents of the predict images; BUDGET_MB=130 sets a limit
	@bench/size.sh

describe: ## write the description of a table: DATASET_NAME=data/x.csv LABEL=COLUMN
	@extras/describe/describe.sh

inspect: ##- show the contents of a model file (MODEL=NAME or a path)
	@extras/inspect/inspect.sh

sbom: ##- write an SBOM of each image to .local/sbom (CycloneDX JSON)
	@extras/sbom/sbom.sh

bench: ##- run all benchmarks (bench/README.md); takes up to an hour
	@bench/run.sh

bench-predict: ##- measure one prediction; BASELINE=../other compares two checkouts
	@bench/run.sh predict

bench-serve: ##- measure our servers under load; BASELINE=../other compares two checkouts
	@bench/run.sh serve

bench-peers: ##- compare our server with other model servers
	@bench/run.sh compare

bench-build: ##- compare the time to build an image with the time of s2i itself
	@bench/run.sh build

bench-demo: ##- measure make demo and make train, also on a busy machine
	@bench/run.sh demo

bench-train: ##- compare training with the estimator's fit; SCALE=100 uses 100 times the rows
	@bench/run.sh training

bench-encodings: ##- compare the default encodings with a usual pipeline
	@bench/run.sh encodings

bench-estimators: ##- train every estimator and write docs/estimators.md; takes 10 minutes
	@bench/run.sh estimators

bench-size: size ##- same as make size

tune: ##- cross-validate the models' settings on UCI's training part
	@bench/run.sh tune

constraints: ##- pin all packages of the requirements files, with hashes
	@tools/constraints.sh

clean-images: ##- remove package images that no image uses (Docker)
	@python3 engines/clean_images.py

clean: ##- remove .local and models/*.pkl
	@rm -rf .local models/*.pkl
