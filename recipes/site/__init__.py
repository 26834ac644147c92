"""The documentation site: what MkDocs is given beside docs/*.md, all of it derived from what stands elsewhere.

`make docs` builds it; `hooks` is what mkdocs.yml names. Front page: the README's first screen. Notebooks: their
committed outputs. Reference: the faces of the package. Gallery: the bundled models.
"""
