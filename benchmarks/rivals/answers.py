"""Whether rivals answer alike. Who answers otherwise is not measured, for that would compare unlike things."""

import http.client
import json
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import HOST, fail

SET_BY_SERVER = {"content-length", "date", "server"}


class Answer(NamedTuple):
    """An answer as far as it has to be the same; an error's document and headers are each server's own."""

    status: int
    media_type: str
    body: str


class Question(NamedTuple):
    method: str
    path: str
    body: str | None = None
    has_tokens: bool = True


class Asker:
    """Asks as the first listener of the file that requests.lua reads."""

    def __init__(self, folder: Path) -> None:
        with (folder / "listeners").open(encoding="ascii") as file:
            developer_token = file.readline().strip()
            user_token, ids = file.readline().strip().split("\t")
        self.ids = ids.split(",")
        self._headers = {"Authorization": f"Bearer {developer_token}", "Music-User-Token": user_token}

    def one(self) -> Question:
        return Question("GET", f"/v1/me/ratings/songs/{self.ids[0]}")

    def response(self, port: int, question: Question) -> tuple[int, list[tuple[str, str]], str]:
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        headers = dict(self._headers) if question.has_tokens else {}
        if question.body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(question.method, question.path, question.body, headers)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response.status, [(name.lower(), value) for name, value in response.getheaders()], body

    def answer(self, port: int, question: Question) -> Answer:
        status, headers, body = self.response(port, question)
        if status >= 400:
            return Answer(status, "", "")
        return Answer(status, dict(headers).get("content-type", "").partition(";")[0], body)

    def questions(self) -> list[Question]:
        """Ask for what is read and written, in an order in which each PUT is asked for afterwards."""
        new, old = "/v1/me/ratings/songs/77", f"/v1/me/ratings/songs/{self.ids[1]}"
        return [
            self.one(),
            *(Question("GET", f"/v1/me/ratings/songs/{id}") for id in self.ids[1:5]),
            Question("GET", f"/v1/me/ratings/songs?ids={','.join(self.ids)},78"),
            Question("GET", new),
            Question("PUT", new, _rating(1)),
            Question("GET", new),
            Question("PUT", new, _rating(-1)),
            Question("PUT", old, _rating(-1)),
            Question("GET", f"/v1/me/ratings/songs?ids={self.ids[1]},77"),
            Question("PUT", old, _rating(1)),
            Question("GET", old),
            Question("PUT", old, _rating(2)),
            Question("GET", old),
            Question("GET", old, has_tokens=False),
        ]


def _rating(value: int) -> str:
    return json.dumps({"type": "rating", "attributes": {"value": value}}, separators=(",", ":"))


def ensure_alike(asker: Asker, ours: int, rival: int, name: str) -> None:
    """Ask both the same, step by step, in the same state; end the benchmark where they differ."""
    for question in asker.questions():
        expected, answer = asker.answer(ours, question), asker.answer(rival, question)
        if _is_bad_body(question) and {expected.status, answer.status} <= {400, 422}:
            continue  # each framework has its own status for a body of the wrong shape
        if answer != expected:
            _refuse(name, question, expected, answer)


def ensure_same_answer(asker: Asker, ours: int, rival: int, name: str) -> None:
    """Ask both for one rating; for those who have one answer only."""
    question = asker.one()
    expected, answer = asker.answer(ours, question), asker.answer(rival, question)
    if answer != expected:
        _refuse(name, question, expected, answer)


def _is_bad_body(question: Question) -> bool:
    return question.body == _rating(2)


def _refuse(name: str, question: Question, expected: Answer, answer: Answer) -> None:
    fail(
        f"{name} does not answer {question.method} {question.path} as Likewise does: {answer}, and not {expected}",
        "what is compared has to do the same work; mend the rival, or leave it out with --only",
    )
