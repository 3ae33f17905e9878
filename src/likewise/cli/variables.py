"""What the commands that call a server read from the environment; the settings of a server are in `likewise.config`."""

URL = "LIKEWISE_URL"
PROFILE = "LIKEWISE_PROFILE"
DEVELOPER_TOKEN = "LIKEWISE_DEVELOPER_TOKEN"  # noqa: S105 - the name of a variable
USER_TOKEN = "LIKEWISE_USER_TOKEN"  # noqa: S105 - see above
KEY_FILE = "LIKEWISE_KEY_FILE"
TEAM_ID = "LIKEWISE_TEAM_ID"
KEY_ID = "LIKEWISE_KEY_ID"

CALLING = (
    URL,
    PROFILE,
    DEVELOPER_TOKEN,
    f"{DEVELOPER_TOKEN}_FILE",
    USER_TOKEN,
    f"{USER_TOKEN}_FILE",
    KEY_FILE,
    TEAM_ID,
    KEY_ID,
)
"""All of them."""
