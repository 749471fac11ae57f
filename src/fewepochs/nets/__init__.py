"""Networks, as published and as Keras initialises them."""
