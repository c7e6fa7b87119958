import os

from fastapi import FastAPI

app = FastAPI(version=os.environ["RELEASE"])


@app.get("/")
def read_root():
    return {"Hello": "World"}
