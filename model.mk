# What a model directory can do. Its Makefile sets MODEL_NAME, DATASET_NAME and CONTAINER_NAME and
# includes this.
include ../common.mk
RUN := ../engines/run.sh

.NOTPARALLEL:
.PHONY: build-train train build-predict predict test-endpoint stop logs predict-once
build-train: ## build the container that trains
	@../build.sh "$$CONTAINER_NAME-train" "$${PWD##*/}" train

train: ## run it: data/ in, models/MODEL_NAME.pkl out
	@$(RUN) train "$$CONTAINER_NAME-train"

build-predict: ## build the container that answers
	@../build.sh "$$CONTAINER_NAME-predict" "$${PWD##*/}" predict

predict: ## run it on PORT (5111); DETACH=1 in the background
	@$(RUN) predict "$$CONTAINER_NAME-predict"

test-endpoint: ## post test/test_instances.json to it and check the answer
	@python3 ../engines/check_endpoint.py .

stop: ## stop what DETACH=1 started
	@$(RUN) stop "$$CONTAINER_NAME-predict"

logs: ## show what it has printed
	@$(RUN) logs "$$CONTAINER_NAME-predict"

predict-once: ##- answer PAYLOAD='{"instances": [...]}' once, without a server
	@$(RUN) predict-once "$$CONTAINER_NAME-train"
