"""What the models of this project share: the table's columns, encoding, split and score."""
