"""From raw files to the tables of a corpus: adapters, cleaning, splits."""
