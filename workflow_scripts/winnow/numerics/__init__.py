"""Log-probabilities, entropy, masks and losses: tensors in, tensors out."""
