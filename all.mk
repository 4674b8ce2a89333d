# The targets of the combined image. all/Makefile sets MODEL_DIRS and CONTAINER_NAME, and includes
# this file.
include ../common.mk
RUN := ../engines/run.sh
# Only ENGINE and PORT are passed to a model's Makefile. A CONTAINER_NAME on the command line must
# not rename the image of every model.
MAKEOVERRIDES :=
# With --keep-going, make would run the old image of a model whose build has failed.
MODEL_MAKE = $(MAKE) --no-print-directory --no-keep-going ENGINE="$$ENGINE" PORT="$$PORT"
unexport PAYLOAD
# Only existing directories become targets. `names` rejects any other value in MODEL_DIRS.
TRAINABLE := $(patsubst ../%/train.py,%,$(wildcard ../*/train.py))
TRAIN := $(addprefix train-,$(filter $(TRAINABLE),$(MODEL_DIRS)))

.PHONY: train-all build-predict predict-all test-all stop logs generate names $(TRAIN)
train-all: names ## build and run the train image of every model, print a table of the results
	+@../engines/train-all.sh $(MAKE) --no-print-directory --keep-going -C all \
		MODEL_DIRS="$$MODEL_DIRS" $(or $(TRAIN),names)

$(TRAIN): train-%:
	+@../engines/train-one.sh "$*" $(MODEL_MAKE) -C "$*" build-train train

names:
	@python3 generate.py --check $$MODEL_DIRS

build-predict: ## build the image with all routes
	@../build.sh "$$CONTAINER_NAME-predict" all predict

predict-all: ## build the image and serve on PORT (5111); DETACH=1 serves in the background
	@python3 ../engines/port.py "$${PORT:-5111}"
	@BUILD=1 $(RUN) predict "$$CONTAINER_NAME-predict" all

test-all: ## post the test instances of every model and check the answers
	@cd .. && python3 engines/check_endpoint.py $$MODEL_DIRS

stop: ## stop the server that runs in the background
	@$(RUN) stop "$$CONTAINER_NAME-predict"

logs: ## show the log of that server
	@$(RUN) logs "$$CONTAINER_NAME-predict"

generate: ##- regenerate .s2i/environment, predict.py, requirements.txt, setup.sh
	@python3 generate.py . $$MODEL_DIRS
