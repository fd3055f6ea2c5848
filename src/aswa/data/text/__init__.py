"""Texts: their files, the alphabet they are folded to, vocabularies."""
