"""How soon the application answers: `python -m bench --help`."""
