"""The new last layer: a ridge solved in one step, or the textbook's by gradient descent."""
