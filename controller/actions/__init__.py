"""Every human act, one function each: right, one transaction, outbox and audit."""
