"""Types, hashes, tables, manifests, locks and errors that every stage may import. No torch, no transformers."""
