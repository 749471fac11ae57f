"""`python -m fewepochs` is `fewepochs`."""

from fewepochs.cli.start import main

main()
