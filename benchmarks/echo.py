"""The peer of the runtime: the same framework and server, a body parsed, nothing done with it."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Asked(BaseModel):
    text: str
    author: str
    type: str


@app.post("/process")
async def process(asked: Asked) -> dict[str, str]:
    return {"response": asked.text, "intent": "echo"}
