"""The evaluation service: teams post documents, get synthetic questions, and score models; all of it is in MLflow."""
