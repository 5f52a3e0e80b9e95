"""The project: wires the apps together."""

import os

# NumPy's products here are small: a second thread gains nothing, and waits in a busy loop after each of them. NumPy
# reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
