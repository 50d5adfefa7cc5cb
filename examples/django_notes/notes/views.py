"""Pages on which people keep their own notes."""

from __future__ import annotations

import os

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.views.generic import CreateView, DeleteView, ListView, UpdateView

from notes.forms import NoteForm
from notes.models import Note


class OwnNotesMixin(LoginRequiredMixin):
    """Nobody sees, and so nobody changes, what belongs to somebody else."""

    def get_queryset(self) -> QuerySet[Note]:
        return Note.objects.filter(owner=self.request.user).prefetch_related("tags")


class NoteList(OwnNotesMixin, ListView):
    paginate_by = 50


class CreateNote(LoginRequiredMixin, CreateView):
    model = Note
    form_class = NoteForm
    success_url = reverse_lazy("notes:list")

    def form_valid(self, form: ModelForm) -> HttpResponse:
        form.instance.owner = self.request.user
        return super().form_valid(form)


class EditNote(OwnNotesMixin, UpdateView):
    form_class = NoteForm
    success_url = reverse_lazy("notes:list")


class DeleteNote(OwnNotesMixin, DeleteView):
    success_url = reverse_lazy("notes:list")


def worker(request: HttpRequest) -> HttpResponse:
    """Tell which process answers."""
    return HttpResponse(str(os.getpid()), content_type="text/plain")
