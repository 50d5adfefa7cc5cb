"""The form of a note."""

from __future__ import annotations

from django import forms

from notes.models import Note


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["title", "text", "tags"]
