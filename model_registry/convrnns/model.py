"""The ConvRNNs of Nayebi et al. (2022), Neural Computation 34:1652, as Brain-Score subjects.

What is submitted to the leaderboard carries convrnns_brainscore (MIT licence) in the folder
``code``, and says in ``plugin.json`` which weights are meant.
"""

import json
import sys
from pathlib import Path
from typing import Any

PLUGIN = Path(__file__).parent
SUBMITTED = PLUGIN / "plugin.json"
SETTINGS = json.loads(SUBMITTED.read_text(encoding="utf-8")) if SUBMITTED.exists() else {}

if SETTINGS:
    sys.path.insert(0, str(PLUGIN / "code"))


def get_model(identifier: str) -> Any:
    """The subject, with its weights, which are downloaded at the first time."""
    import convrnns_brainscore as package
    from convrnns_brainscore.checkpoints import checkpoint_folder, is_there
    from convrnns_brainscore.download import download, download_weights

    if SETTINGS and package.__version__ != SETTINGS["version"]:
        raise ImportError(
            f"convrnns_brainscore {package.__version__} is in use, and {PLUGIN.name} needs its own "
            f"{SETTINGS['version']}: load it in a process of its own."
        )
    meant = SETTINGS.get("models", {}).get(identifier, {})
    name = meant.get("model", identifier.removeprefix("convrnn_"))
    folder, weights = checkpoint_folder(), meant.get("weights")
    checkpoint = None
    if weights and "key" in weights:
        checkpoint = stored_weights(weights)
    elif weights:
        checkpoint = download_weights(name, folder, weights["url"], weights["sha256"])
    elif not is_there(folder, name):
        download(name, folder)
    return package.load_brain_model(
        name,
        checkpoint=checkpoint,
        region_layer_map=PLUGIN / "region_layer_map" / f"{identifier}.json",
        identifier=identifier,
        backend=SETTINGS.get("backend", "tensorflow"),
        **SETTINGS.get("subject", {}),
    )


def stored_weights(weights: Any) -> Path:
    """Weights that lie on Brain-Score's own storage, checked by their SHA-256."""
    from brainscore_core.supported_data_standards.brainio.s3 import load_weight_file

    from convrnns_brainscore.files import sha256_of

    path = load_weight_file(
        bucket="brainscore-storage",
        folder_name="brainscore-vision/models",
        relative_path=weights["key"],
        version_id=weights["version_id"],
        sha1="",  # which Brain-Score does not look at
    )
    if sha256_of(Path(path)) != weights["sha256"]:
        raise OSError(
            f"{path} is not the file with the SHA-256 {weights['sha256']}. If it is an earlier "
            "version, remove it; it is fetched again."
        )
    return Path(path)


def get_layers(identifier: str) -> list[str]:
    """The layers among which Brain-Score's layer mapping may choose."""
    from convrnns_brainscore.networks.backbones import layer_names
    from convrnns_brainscore.zoo import find_model

    meant = SETTINGS.get("models", {}).get(identifier, {})
    return layer_names(find_model(meant.get("model", identifier.removeprefix("convrnn_"))))


def get_bibtex(identifier: str) -> str:
    """The paper to cite."""
    return """@article{nayebi2022recurrent,
    title = {Recurrent Connections in the Primate Ventral Visual Stream Mediate a Trade-Off
             Between Task Performance and Network Size During Core Object Recognition},
    author = {Nayebi, Aran and Sagastuy-Brena, Javier and Bear, Daniel M. and Kar, Kohitij and
              Kubilius, Jonas and Ganguli, Surya and Sussillo, David and DiCarlo, James J. and
              Yamins, Daniel L. K.},
    journal = {Neural Computation},
    volume = {34},
    number = {8},
    pages = {1652--1675},
    year = {2022},
    doi = {10.1162/neco_a_01506}
}"""
