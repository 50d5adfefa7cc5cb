"""What a WSGI server serves: ``workerkit notebook.wsgi``."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notebook.settings")

# The admin's style sheets come from here, so that the example needs nothing in front of it;
# where nginx or a CDN stands in front, that serves /static/ and this wrapper goes.
application = StaticFilesHandler(get_wsgi_application())
