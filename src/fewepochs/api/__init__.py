"""What fewepochs can do, as functions: the command line parses, calls one of these, and prints."""
