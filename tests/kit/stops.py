"""How programs have ended, by their logs: one that falls over its own stop is down, as it was asked to be."""
import re

ASKED = re.compile(r"\bstopping on signal=")
ENDED = re.compile(r"\bmain\s+stopped$")
BEGUN = re.compile(r"\bmoldau-\w+ \S+ starting\b")


def cut_short(lines):
    """The lines that say that a stop begins, of those that never came to their end."""
    found, asked = [], None
    for line in lines:
        if ASKED.search(line):
            asked = line
        elif ENDED.search(line):
            asked = None
        elif asked and BEGUN.search(line):
            found.append(asked)
            asked = None
    return found + ([asked] if asked else [])
