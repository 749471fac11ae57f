"""The command `fewepochs`: parse, call api, print."""
