"""From wildcards to files: the files that named targets stand for."""


def chosen_studies():
    """Return the studies that named targets stand for."""
    return {name: STUDIES[name] for name in SITE.studies}


def targets(function):
    """Return the files that `function` names for each chosen study."""
    return [file for name in chosen_studies() for file in function(name)]


def runs_by_name():
    """Return run → the files that say it is complete, in every chosen study that has such a run."""
    found = {}
    for name, study in chosen_studies().items():
        for run in study.runs:
            found.setdefault(run, []).append(model_ready(name, run))
    return found


def complete_runs(stage):
    """Return what says that every run of a stage is complete, in the chosen studies."""
    return targets(
        lambda study: [model_ready(study, name) for name, run in STUDIES[study].runs.items() if run.stage == stage]
    )
