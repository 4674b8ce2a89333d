# The names of the project. An update of the template does not change this file.
#
# ROUTES use this package name for the models. It does not depend on the name of the clone's folder.
PACKAGE := finance_income_prediction
