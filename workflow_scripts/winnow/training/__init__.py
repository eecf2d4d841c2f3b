"""From datasets to models: base models, preflight, SFT, DPO, checkpoints."""
