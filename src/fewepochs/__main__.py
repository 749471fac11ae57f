"""`python -m fewepochs` is `fewepochs`."""

from fewepochs.cli import main

main()
