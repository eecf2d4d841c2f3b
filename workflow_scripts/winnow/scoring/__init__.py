"""From responses to checkmarks: checklists, judges, agreement."""
