# What every Makefile here shares: variables taken as plain text, help.
#
# A variable given on the command line may hold make's own syntax, which make would execute.
# `override … := $(value …)` keeps $(shell …) text. Recipes read variables from the environment
# ("$$PORT"), so that no quote in them reaches the shell's grammar.
define plain_text
override $(1) := $$(value $(1))
export $(1)
endef
# What a Makefile sets itself reaches recipes too, whether a value comes from there or not.
NAMES := MODEL_NAME DATASET_NAME CONTAINER_NAME MODEL_DIRS
DEFINED := $(foreach variable,$(NAMES),$(if $(filter undefined,$(origin $(variable))),,$(variable)))
# The origin of a variable given on the command line is the two words "command line".
GIVEN := $(foreach variable,$(.VARIABLES),$(if $(filter command,$(origin $(variable))),$(variable)))
$(foreach variable,$(sort $(DEFINED) $(GIVEN)),$(eval $(call plain_text,$(variable))))

.DEFAULT_GOAL := help
.PHONY: help help-all
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

help-all: ## show the rarer targets too
	@awk -F ':.*##-? ' '/^[a-z-]+:.*##-? / {printf "  make %-15s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
