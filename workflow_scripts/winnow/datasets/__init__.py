"""From scores to datasets: select, pair, render, validate, export."""
