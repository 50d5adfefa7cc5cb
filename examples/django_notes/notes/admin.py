"""The admin's view of notes and tags."""

from __future__ import annotations

from django.contrib import admin

from notes.models import Note, Tag


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ["title", "owner", "changed_at"]
    list_filter = ["tags", "owner"]
    search_fields = ["title", "text"]
    filter_horizontal = ["tags"]


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    search_fields = ["name"]
