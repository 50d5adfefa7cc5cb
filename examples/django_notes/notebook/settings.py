"""Settings of the notes project; what differs from place to place comes from variables."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("NOTES_DEBUG") == "1"
# A key in a repository is no secret: set one before anybody else can reach the server.
SECRET_KEY = os.environ.get("NOTES_SECRET_KEY", "only-for-trying-it-out-on-your-own-machine")
ALLOWED_HOSTS = os.environ.get("NOTES_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

ROOT_URLCONF = "notebook.urls"
WSGI_APPLICATION = "notebook.wsgi.application"

INSTALLED_APPS = [
    "notes",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "notes.middleware.name_the_worker",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("NOTES_DATABASE", BASE_DIR / "notes.sqlite3"),
        "OPTIONS": {
            # Several processes write: readers never wait for them, and writers queue from the start.
            "init_command": "PRAGMA journal_mode = WAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True
