"""`python -m experiments.architectures ARCHITECTURES.toml` trains and measures what is missing."""

import sys

from experiments.architectures.run import main

sys.exit(main())
