#!/usr/bin/env bash
# Builds the sdist and the wheel, installs the wheel in a fresh environment outside the clone (in a
# path with blanks and an umlaut), and runs the command line there.
set -euo pipefail
clone=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/convrnns wheel ä XXXXXX")
trap 'rm -rf "$work"' EXIT

python -m build --quiet --installer uv --outdir "$work/dist" "$clone"
ls "$work/dist"/*.tar.gz "$work/dist"/*.whl
top=$(unzip -l "$work"/dist/*.whl | awk 'NR > 3 && NF == 4 {sub("/.*", "", $4); print $4}' | sort -u)
expected=$'convrnns_brainscore\nconvrnns_brainscore-'$(python -c 'import convrnns_brainscore as c; print(c.__version__)').dist-info
if [ "$top" != "$expected" ]; then
    echo "the wheel installs: $top" >&2
    exit 1
fi

cd "$work"
uv venv --quiet environment
uv pip install --quiet --python environment/bin/python dist/*.whl
convrnns=environment/bin/convrnns
$convrnns --help > /dev/null
stimuli=$(environment/bin/python -c 'from convrnns_brainscore.objects92 import OBJECTS92; print(OBJECTS92 / "stimuli")')
$convrnns extract timedecay_shallow "$stimuli"/object0[12].png --layers conv5,imnetds \
    --weights random --seed 1 --out features.zarr
$convrnns submission build timedecay_shallow --backend tensorflow --out submission.zip
unzip -l submission.zip models/convrnns/code/convrnns_brainscore/networks/cells.py > /dev/null
environment/bin/python - <<'E2'
import xarray

features = xarray.open_zarr("features.zarr", group="conv5")
assert features.sizes["presentation"] == 2, features
assert features["time_bin_start"].values[0] == 50, features
print("wheel: extraction works outside the clone")
E2
