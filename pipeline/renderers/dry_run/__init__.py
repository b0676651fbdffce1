"""What a model needs, told by running it without numbers: parameters, arithmetic, memory; no GPU and no weights."""
