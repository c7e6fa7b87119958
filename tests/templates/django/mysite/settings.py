import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SECRET_KEY"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STATIC_URL = os.environ["STATIC_URL"]
