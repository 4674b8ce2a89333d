# What every Makefile here shares: public variables taken as plain text, help.
#
# A variable given on the command line may hold make's own syntax; `override … := $(value …)` keeps $(shell …) text.
# Recipes read variables from the environment ("$$PORT"), so that no quote in them reaches the shell's grammar.
PUBLIC := ENGINE PORT PAYLOAD DETACH SETUP UNKNOWN WORKERS MODEL_NAME DATASET_NAME CONTAINER_NAME MODEL_DIRS PYTHON \
	API_KEY_FILE MODEL MODEL_HMAC_KEY_FILE BASE_IMAGE ASSEMBLE_USER TRAIN_BUILDER PREDICT_BUILDER MINUTES BUDGET_MB
define plain_text
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,$(PUBLIC),$(if $(filter undefined,$(origin $(name))),,$(eval $(call plain_text,$(name)))))

.DEFAULT_GOAL := help
.PHONY: help help-all
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

help-all: ## show the rarer targets too
	@awk -F ':.*##-? ' '/^[a-z-]+:.*##-? / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
