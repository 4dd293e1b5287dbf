"""Wrappers that change what an agent's scores would serve: for diversity, user groups, providers, exploration."""
