"""What goes wrong outside: named for whose fault it is, so that nobody has to guess."""


class DriverError(Exception):
    """A driver could not do its part."""


class StoreFailed(DriverError):
    """The memory of the node cannot be written or read."""


class FetchFailed(DriverError):
    """A media file could not be had: the link, the controller, or the file itself."""


class AmplifierFailed(DriverError, OSError):
    """The amplifier's switch cannot be worked; the sentence says what to look at."""


class SpeechUnavailable(DriverError):
    """A text cannot be spoken here; the sentence names the language or the fault."""


class SlotsUnavailable(DriverError):
    """RAUC, which keeps the two copies of the firmware, cannot be asked; the sentence says what it answered."""


class TimeSourceFailed(DriverError):
    """The system's time source cannot be asked; the sentence says what to look at."""


class ModemUnavailable(DriverError):
    """ModemManager, which keeps the mobile modem, cannot be asked; the sentence says what it answered."""
