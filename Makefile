# The targets of the project. `make -C MODEL_DIR` lists the targets of a model directory.
# `make -C all` lists the targets of the combined image.
include common.mk
# The targets for developers of the template. A project of a user's own does not have this file.
-include template.mk

.PHONY: demo train-all predict-all test-all stop logs generate builders tools doctor test describe
.PHONY: new-model remove-model check inspect sbom constraints clean-images clean update-template
demo: ## train the models, serve them, send test requests, stop the server
	@./demo.sh

train-all: ## build and run the train image of every model
	@$(MAKE) --no-print-directory -C all $@

predict-all: ## serve all models from one server on PORT (5111)
	@$(MAKE) --no-print-directory -C all $@

test-all: ## test the server of predict-all with the test instances of every model
	@$(MAKE) --no-print-directory -C all $@

stop: ## stop the background server of predict-all
	@$(MAKE) --no-print-directory -C all $@

logs: ## show the log of the background server of predict-all
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

describe: ## write the TOML description of a table: DATASET_NAME=data/x.csv LABEL=COLUMN
	@extras/describe/describe.sh

new-model: ## make a model directory: NAME=lightGBM [FROM=xgBoost] [DATASET_NAME=data/x.csv]
	@env $(call not_given,NAME FROM MODEL_NAME DATASET_NAME CONTAINER_NAME JOIN) \
		python3 project/new_model.py

check: ## check the files that you edit: names, data, requirements, instances, model files
	@env $(call not_given,FORMAT) python3 project/check.py

remove-model: ##- remove a model directory: NAME=lightGBM [FORCE=1]
	@env $(call not_given,NAME FORCE) python3 project/remove_model.py

inspect: ##- show the contents of a model file (MODEL=NAME or a path)
	@extras/inspect/inspect.sh

sbom: ##- write an SBOM of each image to .local/sbom (CycloneDX JSON)
	@extras/sbom/sbom.sh

constraints: ##- pin all packages of the requirements files, with hashes
	@tools/constraints.sh

update-template: ## merge a later version of the template into your project [TO=v0.2.0]
	@env $(call not_given,TO) python3 project/update_template.py

clean-images: ##- remove package images that no image uses (Docker)
	@python3 engines/clean_images.py

clean: ##- remove .local and models/*.pkl
	@rm -rf .local models/*.pkl
