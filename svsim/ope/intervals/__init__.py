"""Intervals: of sums by user (delta method, bootstrap), of counts, and of bounded rows without an approximation."""
