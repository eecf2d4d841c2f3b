"""From numbers to pages: tables, plots, the report."""
