"""The Chinese catalogue is complete, in step with templates and code, and keeps placeholders."""

import re

from cloud.web import catalogue, labels
from cloud.web.i18n import CATALOGUE, translations_of

_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")


def test_the_catalogue_is_up_to_date() -> None:
    assert CATALOGUE.read_text(encoding="utf-8") == catalogue.updated(), (
        "run: python -m cloud.web.catalogue"
    )


def test_every_message_has_its_chinese() -> None:
    assert catalogue.untranslated() == []


def test_translations_use_the_placeholders_of_their_message() -> None:
    for message in catalogue.held():
        if not message.id:
            continue
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        source = message.id if isinstance(message.id, str) else message.id[1]
        for text in texts:
            assert set(_PLACEHOLDER.findall(str(text))) == set(_PLACEHOLDER.findall(source)), source


def test_words_of_codes_are_in_the_catalogue() -> None:
    translate = translations_of("zh").gettext
    for words in (labels.STATES, labels.ROLES, labels.KINDS, labels.POINTS, labels.SERVICES):
        for word in words.values():
            assert translate(word) != word
