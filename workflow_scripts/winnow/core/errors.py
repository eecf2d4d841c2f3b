"""The one error type that a user is meant to read, and the remedy that several places name."""

OTHER_PYTHON = "run `make setup` and use its environment, or give the interpreter in config.yaml, or use --sdm conda"


class WinnowError(Exception):
    """Something the user can mend: the message says where it is, what is wrong and what to do.

    Scripts print it without a traceback and exit with status 2; every other exception is a defect
    of Winnow and keeps its traceback.
    """

    def __init__(self, where: object, problem: str, fix: str = "") -> None:
        """Compose the message.

        Args:
            where: file, row or key, as precise as it is known ("reviews.jsonl.gz, line 12").
            problem: what was found and why it cannot be used.
            fix: what to change.
        """
        message = f"{where}: {problem}"
        super().__init__(f"{message}\n  fix: {fix}" if fix else message)
