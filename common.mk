# The common part of all Makefiles: variables as plain text, and help.
#
# A variable on the command line can contain the syntax of make, which make would execute.
# `override … := $(value …)` keeps $(shell …) text. Recipes read variables from the environment
# ("$$PORT"), so that the shell does not parse a quote in their values.
define plain_text
override $(1) := $$(value $(1))
export $(1)
endef
# Recipes also get the variables that a Makefile sets, with or without a value from the environment.
NAMES := MODEL_NAME DATASET_NAME CONTAINER_NAME MODEL_DIRS
DEFINED := $(foreach variable,$(NAMES),$(if $(filter undefined,$(origin $(variable))),,$(variable)))
# The origin of a variable given on the command line is the two words "command line".
GIVEN := $(foreach variable,$(.VARIABLES),$(if $(filter command,$(origin $(variable))),$(variable)))
$(foreach variable,$(sort $(DEFINED) $(GIVEN)),$(eval $(call plain_text,$(variable))))
# Some shells export variables such as NAME. Recipes use this to ignore them:
# `env $(call not_given,NAME)` removes the variables that are not on the command line.
not_given = $(addprefix -u ,$(filter-out $(GIVEN),$(1)))

.DEFAULT_GOAL := help
.PHONY: help help-all
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

help-all: ## show all targets
	@awk -F ':.*##-? ' '/^[a-z-]+:.*##-? / {printf "  make %-15s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
