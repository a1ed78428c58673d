"""`python -m hapir` is the command `hapir`."""

import sys

from hapir.cli.main import main

sys.exit(main())
