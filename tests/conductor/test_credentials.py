"""Tokens of the control API: made once, whole or not at all, for their owner's eyes."""

import stat

import pytest

from cutover.conductor.credentials import (
    GATEWAY_FILE,
    OPERATOR_FILE,
    Tokens,
    read_or_make,
    read_token,
)
from cutover.errors import ConfigurationError


def test_they_are_made_once_and_differ(tmp_path):
    """A restart reads what the first start made."""
    data = tmp_path / "run"
    first = read_or_make(data)
    assert first == read_or_make(data)
    assert first.operator != first.gateway
    assert len(first.operator) >= 32


def test_only_their_owner_can_read_them(tmp_path):
    """Whoever may read the journal may steer the run, nobody else."""
    data = tmp_path / "run"
    read_or_make(data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for name in (OPERATOR_FILE, GATEWAY_FILE):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in data.iterdir()) == sorted([OPERATOR_FILE, GATEWAY_FILE])


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"two words and more chars", b"\xff" * 40]
)
def test_a_file_without_a_token_admits_nobody(tmp_path, content):
    """An empty file, as a crash may leave it, is an error and never an empty password."""
    path = tmp_path / OPERATOR_FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no token"):
        read_token(path)
    with pytest.raises(ConfigurationError, match="holds no token"):
        read_or_make(tmp_path)


def test_a_directory_that_cannot_be_used_is_explained(tmp_path):
    """A file where the directory should be."""
    (tmp_path / "run").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read_or_make(tmp_path / "run")


def test_a_token_is_compared_whole_and_by_role():
    """Neither a part, nor the other role's, nor letters beyond ASCII are let in."""
    tokens = Tokens("operator-token-xyz", "gateway-token-xyz")
    assert tokens.is_operator("operator-token-xyz")
    assert tokens.is_gateway("gateway-token-xyz")
    for wrong in ("", "operator-token-xy", "gateway-token-xyz", "\xfc", "\u2028"):
        assert not tokens.is_operator(wrong)
    assert "xyz" not in repr(tokens)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o601, 0o666])
def test_a_token_that_others_can_read_is_refused(tmp_path, mode):
    """Whoever reads it steers the run."""
    read_or_make(tmp_path)
    (tmp_path / OPERATOR_FILE).chmod(mode)
    with pytest.raises(ConfigurationError, match="open to others"):
        read_or_make(tmp_path)


def test_one_token_for_both_roles_is_refused(tmp_path):
    """A gateway node must not give orders."""
    tokens = read_or_make(tmp_path)
    (tmp_path / GATEWAY_FILE).write_text(tokens.operator)
    with pytest.raises(ConfigurationError, match="the same token") as seen:
        read_or_make(tmp_path)
    assert tokens.operator not in str(seen.value)
