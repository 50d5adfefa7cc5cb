"""Addresses of the notes."""

from __future__ import annotations

from django.urls import path

from notes import views

app_name = "notes"
urlpatterns = [
    path("", views.NoteList.as_view(), name="list"),
    path("new/", views.CreateNote.as_view(), name="create"),
    path("<int:pk>/", views.EditNote.as_view(), name="edit"),
    path("<int:pk>/delete/", views.DeleteNote.as_view(), name="delete"),
    path("worker", views.worker, name="worker"),
]
