"""Encoders are found by name, and listing them costs nothing."""

import subprocess
import sys

import pytest

from wxpipe.embedding.registry import ENCODERS, get_encoder
from wxpipe.errors import UsageError


def test_every_entry_leads_to_a_class_that_builds_from_a_card():
    for name in ENCODERS:
        assert callable(get_encoder(name).load().from_card)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'vit'; known encoders: .*channel-linear"):
        get_encoder("vit")


@pytest.mark.parametrize("module", ["registry", "cards"])
def test_what_does_not_compute_does_not_load_torch(module):
    code = f"import sys, wxpipe.embedding.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
