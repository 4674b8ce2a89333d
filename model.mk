# The targets of a model directory. Its Makefile sets MODEL_NAME, DATASET_NAME and CONTAINER_NAME,
# and includes this file.
include ../common.mk
RUN := ../engines/run.sh
# Only the first goal of a command prints the engine.
export ENGINE_REPORTED ?= $(filter-out $(firstword $(MAKECMDGOALS)),$@)

.NOTPARALLEL:
.PHONY: build-train train build-predict predict test-endpoint expect stop logs predict-once
build-train: ## build the train image
	@../build.sh "$$CONTAINER_NAME-train" "$${PWD##*/}" train

train: ## train the model, write models/MODEL_NAME.pkl; BUILD=1 builds the image first
	@$(RUN) train "$$CONTAINER_NAME-train" "$${PWD##*/}"

build-predict: ## build the predict image
	@../build.sh "$$CONTAINER_NAME-predict" "$${PWD##*/}" predict

predict: ## serve the model on PORT (5111); DETACH=1: in the background; RELOAD=1: edits
	@$(RUN) predict "$$CONTAINER_NAME-predict" "$${PWD##*/}"

test-endpoint: ## post test/test_instances.json and check the answer
	@python3 ../engines/check_endpoint.py .

expect: ## write the server's answers into test/test_instances.json as `expected`
	@python3 ../project/expect.py .

stop: ## stop the background server
	@$(RUN) stop "$$CONTAINER_NAME-predict"

logs: ## show the log of the background server
	@$(RUN) logs "$$CONTAINER_NAME-predict"

predict-once: ##- make one prediction without a server, from PAYLOAD='{"instances": [...]}'
	@$(RUN) predict-once "$$CONTAINER_NAME-train" "$${PWD##*/}"
