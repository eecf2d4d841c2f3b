"""Log-probabilities, entropy, masks and losses: tensors in, tensors out. No models, no files."""
