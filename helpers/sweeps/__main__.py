"""`python -m helpers.sweeps STUDY.toml` makes what is not stored yet."""

import sys

from helpers.sweeps.study import main

sys.exit(main())
