"""What may be shown on a terminal: text of strangers, as names of songs are, must not act there."""

import re

# What moves the cursor, colours, or answers in the user's place (C0, DEL, C1), ends a line, or turns text around.
_acting = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    r"""Write what would act on a terminal as JSON does, `\u001b`; inside of JSON it means the same as before."""
    return _acting.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
