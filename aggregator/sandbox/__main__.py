"""`python -m aggregator.sandbox`: the offers service on its own."""

import sys

from aggregator.sandbox.serving import main

sys.exit(main())
