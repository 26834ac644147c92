"""What several tests use: stand-ins for a VAE, pipelines and ComfyUI, a browser, and where things lie."""
