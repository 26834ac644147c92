"""Transformers that enlarge latents: SwinFIR, CRAFT, DAT and DRCT, on shared parts, with their public key names.

As https://github.com/styler00dollar/ComfyUI-sudo-latent-upscale runs them: raw latents, a factor of 2. Attention masks
and relative positions are computed; a checkpoint that brings others is refused.

What may enter: networks of this family and their parts. What may not: files, spaces and factors, which `latentfit.nets`
and `latentfit.formats` know.
"""
