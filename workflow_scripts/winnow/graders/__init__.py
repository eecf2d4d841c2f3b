"""What a text says of itself: the rating on it, and the parts that a review must have."""
