"""Benchmarks of the response times: `python -m bench --help`."""
