"""`/identity`: which deployment this is, and nothing that is not known here."""

import pytest

KEY = {"x-agent-api-key": "test-key"}
NONCE = "0f" * 32


async def identity(plane, nonce=NONCE):
    return await plane.client.get("/identity", params={"nonce": nonce}, headers=KEY)


async def test_a_plane_names_its_build_image_signer_and_ingress(rails, run_plane):
    digest = "sha256:" + "ab" * 32
    told = {**rails.environ, "IMAGE_DIGEST": digest, "INGRESS_OWNER": "gateway"}
    async with run_plane(told) as plane:
        answer = await identity(plane)
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert body["near"]["publicKey"] == plane.service.signer_key
        assert body["near"]["account"] == told["NEAR_ACCOUNT_ID"]
    assert (body["nonce"], body["plane"], body["build"]) == (NONCE, "phala", "r1")
    assert (body["imageDigest"], body["ingressOwner"]) == (digest, "gateway")
    assert told["NEAR_PRIVATE_KEY"] not in answer.text


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_known_is_empty(bare):
    body = (await identity(bare)).json()
    assert (body["imageDigest"], body["ingressOwner"], body["tlsSpki"]) == ("", "", "")
    assert (body["near"], body["guest"]) == (None, None)


@pytest.mark.parametrize("query", ["", "nonce=", "nonce=AB", f"nonce={NONCE}&nonce={NONCE}"])
@pytest.mark.asyncio(loop_scope="module")
async def test_without_one_good_nonce_there_is_no_answer(bare, query):
    answer = await bare.client.get(f"/identity?{query}", headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_nonce")
