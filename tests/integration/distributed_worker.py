"""Runs several command lines one after the other in each process of a torchrun group."""

import json
import sys

from vlmrec.cli.main import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["vlmrec", *arguments]
    try:
        main()
    except SystemExit as leaving:
        if leaving.code:
            raise
