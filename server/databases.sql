-- MLflow has tables of its own, some under names that others use too (jobs): a database for each.
CREATE DATABASE mlflow;
