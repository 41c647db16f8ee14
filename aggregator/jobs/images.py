"""Makes the sizes of images that have been uploaded."""

from aggregator.extensions import gallery
from aggregator.jobs.run import Run, Summary
from aggregator.services import images


def anything_due() -> bool:
    """Whether an image is still to be made."""
    return images.anything_due()


def make_due(run: Run) -> Summary:
    """Make the sizes of all images that have been uploaded, one at a time."""
    return {**gallery().make_due(run.stop, run.alive)}
