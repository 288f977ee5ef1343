"""Peak memory of a recording of Kar2019's shape: 1,320 images × 18 bins of IT.

The recording that is handed back, and what the process held at most while it was made, beside the
network and the libraries. The images are copies of a few, since only their number matters here;
``--images`` makes it shorter.
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

import numpy as np
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet

from convrnns_brainscore import load_brain_model
from convrnns_brainscore.objects92 import load_objects92

BINS = [(start, start + 10) for start in range(70, 250, 10)]


def resident() -> int:
    """Bytes of this process in memory now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def peak() -> int:
    """The most bytes that this process has had in memory since `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Begin to measure the peak anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def stimuli(count: int, folder: Path) -> StimulusSet:
    """``count`` files that differ in name alone from one of the 92 objects."""
    files = load_objects92().stimuli["filename"]
    names = [f"image{index}" for index in range(count)]
    paths = {}
    for index, name in enumerate(names):
        path = folder / f"{name}.png"
        path.symlink_to(files.iloc[index % len(files)])
        paths[name] = path
    result = StimulusSet({"stimulus_id": names})
    result.stimulus_paths = paths
    return result


def main() -> None:
    """Measure, and print the ratio."""
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="rgc_intermediate")
    parser.add_argument("--images", type=int, default=1320)
    options = parser.parse_args()
    model = load_brain_model(options.model, weights="random")
    with TemporaryDirectory() as folder:
        few, many = stimuli(8, Path(folder)), options.images
        model.start_recording("IT", BINS)
        model.look_at(few)  # the network, its graph and the libraries
        for path in few.stimulus_paths.values():
            path.unlink()
        shown = stimuli(many, Path(folder))
        before = resident()
        reset_peak()
        recording = model.look_at(shown)
        most = peak()
    size = recording.values.nbytes
    assert np.isfinite(recording.values).all()
    print(
        f"{options.model}, {many} images × {recording.sizes['neuroid']} neuroids × {len(BINS)} "
        f"bins: recording {size / 1e9:.2f} GB, peak {(most - before) / 1e9:.2f} GB beside the "
        f"network ({before / 1e9:.2f} GB): {(most - before) / size:.2f} of the recording"
    )


if __name__ == "__main__":
    sys.exit(main())
