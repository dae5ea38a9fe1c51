"""Why the controller says no: one sentence for the person who asked, with what, where and what to do."""


class Refused(Exception):
    """An act was refused and nothing changed. `code` is short and stable, `status` is the HTTP status that fits.

    `wait_s` says after how many seconds it is worth trying again.
    """

    def __init__(self, sentence: str, *, code: str = "refused", status: int = 400, wait_s: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.status = status
        self.wait_s = wait_s


class ConfigWrong(Exception):
    """The state folder or its loa.toml cannot be used; the text names file, key and remedy."""


class SignerAbsent(Refused):
    """The signer's process does not answer: nothing was sealed."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, code="signer-absent", status=503)
