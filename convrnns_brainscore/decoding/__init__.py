"""What can be read out from layers and from neurons, bin by bin, with the same decoders."""
