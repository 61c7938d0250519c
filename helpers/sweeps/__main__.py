"""`python -m helpers.sweeps EXPERIMENT.toml` runs what is not stored yet."""

import sys

from helpers.sweeps.study import main

sys.exit(main())
