"""Tables of networks tested on another dataset, one file each; each declares itself as `ARTEFACT`."""
