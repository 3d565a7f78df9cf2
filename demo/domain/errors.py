"""Everything that can go wrong for a person, in one tree. Knows no other room.

    DemoError
    ├── BadInput              something typed cannot be used as it is
    │   ├── NoTexts           a box is empty
    │   ├── BlankText         an item of a list holds no text
    │   ├── TooManyTexts      more lines than the limit
    │   ├── TextTooLong       a line longer than the limit
    │   ├── TooManyTokens     a text that a model would cut, where that was not accepted
    │   ├── BadCharacter      a control character or half a surrogate pair
    │   ├── TooManyCells      questions × answers above the limit
    │   ├── UnreadableFile    a file of texts that cannot be read
    │   ├── UnknownChoice     a pooling, prompt, layer, device … that does not exist
    │   ├── BadMatches        "which answer belongs to which question" cannot be read
    │   └── DamagedLink       an address that was cut or changed on its way here
    ├── ModelError            a model cannot be had
    │   ├── ModelNotFound     neither in the catalogue, nor on the Hub, nor on this disk
    │   │   └── ModelNotHere  not on this disk, while the Hub cannot be asked
    │   ├── ModelNotAllowed   typed models are switched off on this host
    │   ├── ModelDoesNotFit   it needs more memory than this machine has
    │   │   └── ModelNotFetched  the same, but its weights can be read from disk once they are there
    │   ├── BigDownload       gigabytes would be fetched, once somebody says yes
    │   ├── BigDownloadRefused  the same, and this host fetches none
    │   ├── WeightsUnavailable  every source of its weights failed
    │   │   └── ModelGated    the Hub asks for a login and accepted terms
    │   ├── WeightsDamaged    a file's SHA-256 is not the one that was named
    │   ├── UnsafeWeights     only pickled weights, or code that would have to run
    │   ├── UnsupportedModel  an architecture that the lab cannot read
    │   ├── StreamBroken      a file of weights that are read for every pass cannot be read any more
    │   └── ServerUnavailable  a model that runs elsewhere cannot be had there
    ├── ReadingRefused        this model cannot be read in this way, and why
    ├── ModelLoading          the model is being loaded: ask again (not a failure)
    ├── OutOfMemory           a single text does not fit beside the model
    ├── NotFinite             the model answered with NaN or infinity
    ├── ServerFailed          a model that runs elsewhere gave no answer, or another one than vectors
    ├── RequestRefused        an HTTP request that is not answered
    │   ├── TooManyRequests   more than one person, or one address, may ask
    │   ├── RequestTooLarge   more bytes than are read
    │   ├── RequestTooSlow    it did not come to its end
    │   ├── RequestUnreadable it is not what the page or a program sends
    │   ├── HostNotAllowed    it names a host that is not this lab's
    │   ├── StorageFailed     this machine's disk cannot take it
    │   ├── ServerStopping    the server stops before it could answer
    │   └── RequestFailed     our own mistake
    ├── Busy                  all places for long work are taken
    │   └── ClusterBusy       every replica works, and as many questions wait as may
    ├── ClusterFailed         the cluster cannot be had, or does not answer
    └── Stopped               someone stopped it (not a failure)

Each class holds its sentence as a template; the page's locales translate it by the class's name.
"""

from __future__ import annotations

from typing import Any


class DemoError(Exception):
    """A message a person understands: what was wrong, with the value, and what is accepted.

    `field` names the box that caused it (questions, answers, model, prompt, pooling, layer, matches) or is None.
    `values` fill the template, here and in every translation.
    """

    template = "Something went wrong."
    field: str | None = None

    def __init__(self, *, field: str | None = None, **values: Any):
        self.values = values
        if field is not None:
            self.field = field
        super().__init__(self.template.format(**values))

    @property
    def code(self) -> str:
        """The class's name: what the API answers beside the message."""
        return type(self).__name__

    def __reduce__(self):
        return _rebuild, (type(self), self.field, self.values)


def _rebuild(kind, field, values):
    return kind(field=field, **values)


class BadInput(DemoError):
    """Something typed cannot be used as it is."""

    template = "{problem}"


class NoTexts(BadInput):
    template = "There are no {box} yet. Write at least one, one a line."


class BlankText(BadInput):
    template = "Text {line:,} of the {box} is blank. One text each is accepted."


class TooManyTexts(BadInput):
    template = "{count:,} {box} are more than this lab compares at once. At most {limit:,} are accepted."


class TextTooLong(BadInput):
    template = "Line {line:,} of the {box} has {count:,} characters. At most {limit:,} are accepted."


class TooManyTokens(BadInput):
    template = "Longer than the {limit:,} tokens that {model} reads: {box} {numbers}. Shorten them, or let them be cut."


class BadCharacter(BadInput):
    template = (
        "Line {line:,} of the {box} holds a character that is not text ({character}). Remove it; letters, marks, "
        "emoji, spaces and tabs of any language are accepted."
    )


class TooManyCells(BadInput):
    template = "{rows:,} questions × {columns:,} answers make {count:,} cells. At most {limit:,} are accepted."


class UnreadableFile(BadInput):
    template = "{path} cannot be read as texts: {reason}. Accepted are UTF-8 files, one text a line."


class UnknownChoice(BadInput):
    template = "“{value}” is not a {kind}. Accepted: {accepted}."


class BadMatches(BadInput):
    template = (
        "“{value}” does not say which answer belongs to which question. Accepted: pairs like 1-2, 2-1 "
        "(question 1 to answer 2, question 2 to answer 1) within {rows} questions and {columns} answers."
    )
    field = "matches"


class DamagedLink(BadInput):
    template = (
        "The link that opened this page is damaged or incomplete, so the page stands as it always opens. Ask for the "
        "link again, and copy the whole of it."
    )


class ModelError(DemoError):
    """A model cannot be had."""

    field = "model"


class ModelNotFound(ModelError):
    template = (
        "“{model}” was not found on the Hub or on this disk. Choose a model from the list, or give a Hub id or "
        "a folder with safetensors weights."
    )


class ModelNotHere(ModelNotFound):
    template = "“{model}” is not on this disk. {reasons}"


class ModelNotAllowed(ModelError):
    template = "“{model}” is not in this lab's list, and this host offers only the list: {accepted}."


class ModelDoesNotFit(ModelError):
    template = "{model} needs about {need} of memory in {precision}; this machine has {have} for models."


class ModelNotFetched(ModelDoesNotFit):
    template = (
        "{model} needs about {need} of memory in {precision}; this machine has {have} for models. Once it is on this "
        "disk (hf download {hub_id}), its weights are read from there for every set of texts."
    )


class BigDownload(ModelError):
    """A question, not a failure: after `permit_download` the same call fetches it. id: the model's."""

    template = (
        "{model} is not on this disk: {size} would be fetched to {place}, where {free} are free. Allow it on the page, "
        'with --yes on the command line, or with big_downloads="always".'
    )


class BigDownloadRefused(ModelError):
    template = "{model} is not on this disk, and this host does not fetch its {size} (--big-downloads)."


class WeightsUnavailable(ModelError):
    template = "The weights of {model} could not be fetched. {reasons}"


class ModelGated(WeightsUnavailable):
    """Its sentence is WeightsUnavailable's; asking again does not help."""


class WeightsDamaged(ModelError):
    template = (
        "{file} is not the file that was expected: its SHA-256 is {found}, not {expected}. It was refused and removed."
    )


class UnsafeWeights(ModelError):
    template = "{model} is refused: {reason}. Accepted are safetensors and GGUF weights without code of their own."


class UnsupportedModel(ModelError):
    template = "{model} cannot be read here: {reason}"


class StreamBroken(ModelError):
    template = "{model}: {file} cannot be read any more: {reason}. Its weights are read from disk for every pass."


class ServerUnavailable(ModelError):
    template = "{model}, on {host}: {reason}."


class ReadingRefused(DemoError):
    """This model cannot be read in this way. `instead` is an accepted value for `field`, or None."""

    template = "{model}: {reason}"

    @property
    def instead(self) -> str | None:
        return self.values.get("instead")


class ModelLoading(DemoError):
    """values: `stage` and `fraction` as in Progress, and `seconds_left` where it can be known."""

    template = "{model} is being loaded: {stage}."
    field = "model"


class OutOfMemory(DemoError):
    template = "{model} ran out of memory on a text of {tokens:,} tokens. Try a shorter text or a smaller model."


class NotFinite(DemoError):
    template = "{model} answered with numbers that are not finite in {precision} on {device}. Try --dtype float32."


class RequestRefused(DemoError):
    """An HTTP request that is not answered."""


class TooManyRequests(RequestRefused):
    template = "That was faster than this server answers one person. What you typed stays; it goes on in {seconds} s."


class RequestTooLarge(RequestRefused):
    template = "That is more than this server reads at once. At most {limit} MiB are accepted."


class RequestTooSlow(RequestRefused):
    template = "The request did not arrive in time. Try again."


class RequestUnreadable(RequestRefused):
    template = (
        "This is not a request that the page can read. Accepted is what the page sends, or what its API describes."
    )


class HostNotAllowed(RequestRefused):
    template = "This lab does not answer under the name “{host}”. Whoever runs it allows a name with --allow-host."


class StorageFailed(RequestRefused):
    template = "This server's disk cannot take it: {reason}. Whoever runs the lab must look after it."


class ServerStopping(RequestRefused):
    template = "This server stops now. Try again when it is back."


class RequestFailed(RequestRefused):
    template = "Something went wrong on our side."


class ServerFailed(DemoError):
    """`wait`: seconds for which there is no use in asking that server again."""

    template = "{model}, on {host}: {reason}."


class Busy(DemoError):
    template = "{count} long computations are already running on this machine. Try again in a minute."


class ClusterBusy(Busy):
    template = "All replicas are busy, and {count:,} questions are waiting already. Try again in a moment."


class ClusterFailed(DemoError):
    template = "The cluster gives no answer: {reason}."


class Stopped(DemoError):
    template = "Stopped."
