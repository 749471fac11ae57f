"""`python -m fewepochs` is `fewepochs`."""

from fewepochs.cli.main import main

main()
