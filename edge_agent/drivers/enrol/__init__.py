"""The node's own identity: keys made here, a certificate asked for with the label's claim, renewed for ever."""

from edge_agent.drivers.enrol.door import Door
from edge_agent.drivers.enrol.driver import Enrolment, Names, digits
from edge_agent.drivers.enrol.files import IdentityBroken, make_keys, read_dates

__all__ = ["Door", "Enrolment", "IdentityBroken", "Names", "digits", "make_keys", "read_dates"]
