"""What the service says of itself: health, numbers, and this description."""

from likewise.api.description.parts import PERSONAL, Operation, Who, answer, document, schema, with_content
from likewise.errors import StoreUnavailable

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("/livez", "GET"): Operation(
        "getLive",
        "Does the process answer?",
        Who.ANYBODY,
        {200: document("It does.", schema("Health"), PERSONAL)},
    ),
    ("/readyz", "GET"): Operation(
        "getReady",
        "Does the database answer?",
        Who.ANYBODY,
        {200: document("It does.", schema("Health"), PERSONAL)},
        (StoreUnavailable,),
    ),
    ("/metrics", "GET"): Operation(
        "getMetrics",
        "Get what was counted, for Prometheus",
        Who.ANYBODY,
        {200: with_content(answer("The numbers.", PERSONAL), "text/plain", {"type": "string"}, None)},
    ),
    ("/openapi.json", "GET"): Operation(
        "getDescription",
        "Get this description",
        Who.ANYBODY,
        {200: document("The description, of OpenAPI 3.1.", {"type": "object"})},
    ),
}
