"""Share what all models of this project need to train."""
