"""Log-probabilities, entropy, masks and losses: the numbers of training, which trainers and evaluation share.

Tensors in, tensors out, no files. Where a function takes a model or a tokenizer, it only calls it.
"""
