"""What others have published about epochs, accuracies and costs, and whether runs bear it out; without torch."""
