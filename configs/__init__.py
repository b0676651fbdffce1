"""What ships as data: model profiles, the demo model, example manifests; read through `importlib.resources`."""
