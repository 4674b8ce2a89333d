# The targets of a model directory. Its Makefile sets MODEL_NAME, DATASET_NAME and CONTAINER_NAME,
# and includes this file.
include ../common.mk
RUN := ../engines/run.sh

.NOTPARALLEL:
.PHONY: build-train train build-predict predict test-endpoint stop logs predict-once
build-train: ## build the train image
	@../build.sh "$$CONTAINER_NAME-train" "$${PWD##*/}" train

train: ## run it: reads data/, writes models/MODEL_NAME.pkl
	@$(RUN) train "$$CONTAINER_NAME-train"

build-predict: ## build the predict image
	@../build.sh "$$CONTAINER_NAME-predict" "$${PWD##*/}" predict

predict: ## serve on PORT (5111); DETACH=1 serves in the background
	@$(RUN) predict "$$CONTAINER_NAME-predict"

test-endpoint: ## post test/test_instances.json and check the answer
	@python3 ../engines/check_endpoint.py .

stop: ## stop the server in the background
	@$(RUN) stop "$$CONTAINER_NAME-predict"

logs: ## show its log
	@$(RUN) logs "$$CONTAINER_NAME-predict"

predict-once: ##- answer PAYLOAD='{"instances": [...]}' once, without a server
	@$(RUN) predict-once "$$CONTAINER_NAME-train"
