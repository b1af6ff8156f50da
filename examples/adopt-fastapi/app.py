"""Reviews of products: an application of FastAPI as it would be without Souk, except that it reads who calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel


class Review(BaseModel):
    """What one user says of one product."""

    product: str
    stars: int
    text: str
    author: str = ""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, list[Review]]]:
    """Opens what the application needs; a list stands for a database."""
    yield {"reviews": []}


app = FastAPI(title="Reviews", lifespan=lifespan)


def user(x_souk_user_id: Annotated[str, Header()] = "") -> str:
    """Gives the id of the user who calls; only the gateway can write this header."""
    if not x_souk_user_id:
        raise HTTPException(401, "sign in to write a review")
    return x_souk_user_id


@app.get("/products/{product}")
async def reviews(product: str, request: Request) -> list[Review]:
    """Lists the reviews of a product."""
    return [one for one in request.state.reviews if one.product == product]


@app.post("/", status_code=201)
async def write(review: Review, author: Annotated[str, Depends(user)], request: Request) -> Review:
    """Takes a review of the user who calls."""
    written = review.model_copy(update={"author": author})
    request.state.reviews.append(written)
    return written


@app.get("/me")
async def me(
    request: Request, x_souk_user_id: Annotated[str, Header()] = "", x_souk_roles: Annotated[str, Header()] = ""
) -> dict[str, str]:
    """Shows what the application knows of a request."""
    client = request.client.host if request.client else ""
    return {"user": x_souk_user_id, "roles": x_souk_roles, "client": client, "root": request.scope["root_path"]}
