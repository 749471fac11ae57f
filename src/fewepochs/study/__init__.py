"""Many runs, one question: a grid of recipes and seeds, rules fixed beforehand, trained wherever there is room."""
