"""A store's log as rows of estimators: what was logged, what policies would do there, what a model expects."""
