from tests.house import LIKE_BODY


async def test_a_put_answers_the_documented_body_to_the_byte(client):
    response = await client.put("/v1/me/ratings/songs/907242702", content=LIKE_BODY)

    assert response.status_code == 200
    assert response.content == (
        b'{"data":[{"id":"907242702","type":"ratings","href":"/v1/me/ratings/songs/907242702",'
        b'"attributes":{"value":1}}]}'
    )
