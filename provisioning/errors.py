"""What a person is told when an input is refused: one sentence with what, where and what to do."""


class InputRefused(Exception):
    """Something that a person gave cannot be used; nothing was changed. The text is shown as it is."""


class WrongPassphrase(InputRefused):
    """A key file did not open under the passphrase given."""


class CardFailed(Exception):
    """A card did not take or give back what it should: it was pulled out, is broken, or is a fake. The text is shown as it is."""
