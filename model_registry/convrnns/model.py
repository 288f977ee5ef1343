"""The ConvRNNs of Nayebi et al. (2022), Neural Computation 34:1652, as Brain-Score subjects."""

from pathlib import Path


def get_model(identifier):
    """The subject, with the published weights, which are downloaded at the first time."""
    from convrnns_brainscore import load_brain_model
    from convrnns_brainscore.checkpoints import checkpoint_folder, find_checkpoint
    from convrnns_brainscore.download import download

    name = identifier.removeprefix("convrnn_")
    if find_checkpoint(checkpoint_folder(), name) is None:
        download(name, checkpoint_folder())
    regions = Path(__file__).parent / "region_layer_map" / f"{identifier}.json"
    return load_brain_model(name, region_layer_map=regions)


def get_bibtex(identifier):
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
