import os

import streamlit as st
from dotenv import load_dotenv

load_dotenv()
st.title(os.environ["APP_TITLE"])
