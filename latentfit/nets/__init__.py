"""Networks, one screen each; their key names are those of the checkpoints that load into them."""
