"""Files that a page of docs/recipes shows, as daemon/lab/tests/recipes/page.rs reads them.

A line such as `` `/etc/exports` on `nfs1`: `` (or `on both hosts`) announces a file, and the next
fenced block is its content.
"""

import re
from pathlib import Path

PAGES = Path(__file__).resolve().parents[3] / "docs" / "recipes"
FILE = re.compile(
    r"^`(?P<path>/[^`]+)` on (both hosts|`(?P<host>[^`]+)`):\n\n```\w*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def files(page: str, host: str) -> dict[str, str]:
    """Returns the files of a host by their path."""
    shown = FILE.finditer((PAGES / f"{page}.md").read_text())
    return {each["path"]: each["text"] for each in shown if each["host"] in (None, host)}
