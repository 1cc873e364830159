"""Where a plan's images are: told relative to the file that the plan is written to."""

import dataclasses
import os
from pathlib import Path

from regraft.data.readers.patterns import is_address
from regraft.plan.definition import Plan


def with_data(plan: Plan, data: str) -> Plan:
    """Return the plan with the place of its images, relative to the file it is written to."""
    return dataclasses.replace(plan, data=data)


def data_from(folder: Path, plan: Plan) -> str:
    """Return where a plan in a folder says its images are: a path, or an address as it stands."""
    return plan.data if is_address(plan.data) else str(folder / plan.data)


def absolute(data: str) -> str:
    """Return a path as it is from anywhere; an address as it stands."""
    return data if is_address(data) else os.path.abspath(data)
