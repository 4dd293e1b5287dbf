"""The version, apart from the package's face so that inner rooms can name it without importing it."""

__version__ = "0.1.0"
