"""`python -m aggregator.config > .env.example`: all settings, as that file has them."""

import textwrap

from aggregator.config.settings import TABLE

HEAD = """\
# All settings. Copy this to .env and fill in what should differ: a name with nothing behind it counts as not set.
# Web, worker and all commands read .env; what the environment itself says comes first.
"""


def example() -> str:
    """The text of .env.example."""
    parts = [HEAD]
    for name, known in TABLE.items():
        lines = textwrap.wrap(known.about, 116, break_long_words=False, break_on_hyphens=False)
        parts.append("".join(f"# {line}\n" for line in lines) + f"{name}=\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(example(), end="")
