"""Several actions at once or one after another: slates, sessions, and sessions played in an environment."""
