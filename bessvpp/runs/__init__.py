"""A run and its files: profiles, notebooks in order, manifest, book."""
