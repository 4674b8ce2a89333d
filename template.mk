# The targets for developers of the template. Makefile includes this file.
.PHONY: new-project test-faults test-tables soak lint quality size tune
.PHONY: bench bench-predict bench-serve bench-peers bench-size bench-build bench-demo bench-train
.PHONY: bench-encodings bench-estimators
new-project: ## make a project of your own: TO=../churn DATA=path.csv LABEL=churn [NAME=churn]
	@env $(call not_given,TO DATA LABEL NAME) python3 project/new_project.py

test-faults: ##- run all fault tests (tests/faults/README.md); takes an hour
	@FAULTS=full tests/run.sh tests/faults tests/extras \
		tests/engines/test_build_sh.py tests/engines/test_docker_engine.py

test-tables: ##- train and serve models of all types of estimators, on all kinds of tables
	@TABLES=full tests/run.sh tests/utils/training

soak: ##- serve under load for MINUTES (10), replace models, kill workers
	@MINUTES="$${MINUTES:-10}" tests/run.sh tests/faults/test_soak.py

lint: ## check shell, Python and the Dockerfile
	@tools/lint.sh

quality: ## score the three models on UCI's own split
	@tools/quality.sh

size: ## list the contents of the predict images; BUDGET_MB=130 sets a limit
	@bench/size.sh

bench: ##- run all benchmarks (bench/README.md); takes up to an hour
	@bench/run.sh

bench-predict: ##- measure one prediction; BASELINE=../other compares two checkouts
	@bench/run.sh predict

bench-serve: ##- measure our servers under load; BASELINE=../other compares two checkouts
	@bench/run.sh serve

bench-peers: ##- compare our server with other model servers
	@bench/run.sh compare

bench-build: ##- compare the build time of an image with the build time of s2i alone
	@bench/run.sh build

bench-demo: ##- measure make demo and make train, also on a busy machine
	@bench/run.sh demo

bench-train: ##- compare training with the estimator's fit; SCALE=100 uses 100 times the rows
	@bench/run.sh training

bench-encodings: ##- compare the default encodings with a standard pipeline
	@bench/run.sh encodings

bench-estimators: ##- train every estimator and write docs/estimators.md; takes 10 minutes
	@bench/run.sh estimators

bench-size: size ##- same as make size

tune: ##- cross-validate the models' settings on UCI's training part
	@bench/run.sh tune
