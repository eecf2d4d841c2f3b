"""Write schemas/*.json from the types in winnow/core/config/, for editors and other tools.

python workflow_scripts/write_schemas.py
"""

from pathlib import Path

from winnow.core.config.studies import schema_files
from winnow.core.entry import run
from winnow.core.files import write_json

SCHEMAS = Path(__file__).parents[1] / "schemas"


def main() -> None:
    """Write every schema."""
    for file, schema in schema_files(SCHEMAS).items():
        write_json(file, schema)


if __name__ == "__main__":
    run(main, environment="data")
