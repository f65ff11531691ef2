"""People of the sandbox publish gists with their own tokens, as a proof of their account needs."""

from sandbox import people

NOTE = {"description": "a note", "public": True, "files": {"a.txt": {"content": "hello"}}}


async def publish(client, login, body=NOTE):
    return await client.http.post(
        client.urls["github"] + "/gists",
        json=body,
        headers={"authorization": f"Bearer {people.token_of(login)}"},
    )


async def get(client, path):
    headers = {"authorization": f"Bearer {client.credentials.github_token}"}
    return await client.http.get(client.urls["github"] + path, headers=headers)


async def test_a_gist_is_its_authors_and_shows_its_contents_only_by_itself(client):
    made = await publish(client, "Ada")
    assert made.status_code == 201
    (listed,) = (await get(client, "/users/ADA/gists?per_page=30")).json()
    assert listed["owner"]["id"] == people.number_of("ada")
    assert "content" not in listed["files"]["a.txt"]
    whole = (await get(client, f"/gists/{listed['id']}")).json()
    assert whole["files"]["a.txt"]["content"] == "hello"
    assert (await get(client, "/users/grace/gists")).json() == []


async def test_a_secret_gist_is_not_listed(client):
    await publish(client, "ada", {**NOTE, "public": False})
    assert (await get(client, "/users/ada/gists")).json() == []


async def test_only_a_person_publishes_and_only_whole_gists(client):
    assert (await publish(client, "nobody")).status_code == 401
    for body in ({**NOTE, "files": {}}, {**NOTE, "files": {"a": {}}}, {**NOTE, "description": 1}):
        assert (await publish(client, "ada", body)).status_code == 422


async def test_accounts_have_numbers_and_kinds(client):
    ada = (await get(client, "/users/ADA")).json()
    assert (ada["login"], ada["id"], ada["type"]) == ("ada", people.number_of("ada"), "User")
    assert (await get(client, "/users/renovate[bot]")).json()["type"] == "Bot"
    assert (await get(client, "/users/nobody-here")).status_code == 404
