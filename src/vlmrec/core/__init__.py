"""Names, errors, configs, random streams, devices, protocols: what every room may lean on."""
