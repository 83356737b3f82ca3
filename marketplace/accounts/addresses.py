"""E-mail addresses."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from marketplace.foundation.errors import Invalid
from marketplace.foundation.i18n import lazy


def normal_email(text: str) -> str:
    """The one way this address is kept; raises Invalid when it cannot be one. Does not ask the network."""
    try:
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError as error:
        sentence = lazy("Enter an e-mail address, like name@example.com.")
        raise Invalid("email_not_valid", sentence, {"email": sentence}) from error
