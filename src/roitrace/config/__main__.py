"""Print the JSON Schema: ``python -m roitrace.config > configs/schema.json``."""

from __future__ import annotations

import json
import sys

from roitrace.config.schema import config_schema

if __name__ == "__main__":
    json.dump(config_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
