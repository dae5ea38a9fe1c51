"""`python -m tests.web.signing_integrity` writes the hashes of the signing page's files into its index.html, after a change."""

from controller.signing_site import FOLDER, INDEX, with_integrity

if __name__ == "__main__":
    index = FOLDER / INDEX
    index.write_text(with_integrity(index.read_text(encoding="utf-8")), encoding="utf-8")
