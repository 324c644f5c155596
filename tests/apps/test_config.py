"""Settings: their layers, their origins, and what a mistake says."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from apps.commands import angarium
from apps.common.config import FIELDS, ConfigError, DigestAlgorithm, LogLevel, NodeConfig, load
from apps.common.exits import Exit
from apps.common.values import Address, Listen, Transport, listen


def test_defaults_hold_and_stay_on_this_machine() -> None:
    loaded = load()
    assert loaded.config == NodeConfig()
    assert all(item.loopback for item in loaded.config.listen)
    assert set(loaded.origins.values()) == {"default"}
    assert set(loaded.origins) == set(FIELDS)


def test_later_layers_win_and_each_value_keeps_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('name = "file"\nrealm = "file"\nmax_body = 1\nlisten = ["tcp://[::1]:0"]\nopen = true\n')
    loaded = load({"name": "flag", "listen": (), "realm": None}, {"ANGARIUM_NAME": "e", "ANGARIUM_REALM": "e"}, file)
    assert loaded.config.name == "flag"
    assert loaded.config.realm == "e"
    assert loaded.config.max_body == 1
    assert loaded.config.listen == (Listen(Transport.TCP, "::1", 0),)
    assert loaded.origins["name"] == "flag --name"
    assert loaded.origins["realm"] == "environment ANGARIUM_REALM"
    assert loaded.origins["open"] == f"file {file}"
    assert loaded.origins["store"] == "default"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('data = "mail"\nlog_dir = "/var/log/angarium"\n')
    config = load(environ={"ANGARIUM_CONFIG": str(file)}).config
    assert config.data == tmp_path / "mail", "a relative path starts from the file's folder"
    assert config.log_dir == Path("/var/log/angarium")


def test_text_becomes_each_setting_s_type() -> None:
    environ = {
        "ANGARIUM_LISTEN": "udp://127.0.0.1, tcp://localhost:5070",
        "ANGARIUM_OPEN": "true",
        "ANGARIUM_ADMIN": "[::1]:8060",
        "ANGARIUM_MESSAGE_LIFE": "12h",
        "ANGARIUM_DEVICE_LIFE": "90",
        "ANGARIUM_WATCHDOG": "2.5",
        "ANGARIUM_DIGEST_ALGORITHM": "SHA-256",
        "ANGARIUM_LOG_LEVEL": "debug",
        "ANGARIUM_ROUTER": "mine.py:Router",
    }
    config = load(environ=environ).config
    assert [str(item) for item in config.listen] == ["udp://127.0.0.1:5060", "tcp://localhost:5070"]
    assert config.open is True
    assert config.admin == Address("::1", 8060)
    assert (config.message_life, config.device_life) == (12 * 3600, 90)
    assert config.watchdog == 2.5
    assert config.digest_algorithm is DigestAlgorithm.SHA_256
    assert config.log_level is LogLevel.DEBUG
    assert config.router == "mine.py:Router"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lisen = []", ["lisen", "did you mean 'listen'"]),
        ('open = "yes"', ["open", "expected true or false, got text"]),
        ("name = 5", ["name", "expected text, got 5"]),
        ('name = "a b"', ["name", "'a b' is no name"]),
        ("listen = []", ["listen", "expected a list of URLs"]),
        ('listen = ["udp://127.0.0.1", "udp://127.0.0.1:5060"]', ["stands there twice"]),
        ('listen = ["upd://127.0.0.1"]', ["'upd' is not one of udp, tcp", "did you mean 'udp'"]),
        ('listen = ["127.0.0.1:5060"]', ["has no transport", "udp://127.0.0.1:5060"]),
        ('listen = ["udp://:5060"]', ["has no host"]),
        ('listen = ["udp://"]', ["has no host"]),
        ('listen = ["udp://127.0.0.1:sip"]', ["port 'sip'"]),
        ('listen = ["udp://127.0.0.1:65536"]', ["port '65536'"]),
        ('listen = ["udp://127.0.0.256"]', ["no IPv4 address"]),
        ('listen = ["udp://::1:5060"]', ["in brackets"]),
        ('listen = ["udp://[::g]:5060"]', ["no IPv6 address"]),
        ('listen = ["udp://127.0.0.1:5060/x"]', ["is not a number"]),
        ('admin = "127.0.0.1"', ["admin", "has no port"]),
        ("max_body = 0", ["max_body", ">= 1"]),
        ('message_life = "5 weeks"', ["message_life", "no duration"]),
        ("message_life = 0", ["more than 0"]),
        ("message_life = true", ["no duration"]),
        ('digest_algorithm = "sha256"', ["did you mean 'sha-256'"]),
        ('router = "a:b:c"', ["router", "names nothing"]),
        ("name = ", ["is not TOML"]),
    ],
)
def test_a_mistake_names_file_key_and_remedy(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    for word in (str(file), *words):
        assert word.lower() in str(caught.value).lower()
    assert caught.value.exit_code == Exit.CONFIG


@given(st.text(max_size=30) | st.from_regex(r"(udp|tcp)://[\w.:\[\]-]{0,20}", fullmatch=True))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        found = listen(text)
        assert listen(str(found)) == found, "what is printed can be read again"


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(file=tmp_path / "none.toml")


def test_a_variable_that_is_nearly_a_setting_s_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="did you mean ANGARIUM_LISTEN"):
        load(environ={"ANGARIUM_LISTENS": "udp://127.0.0.1"})
    assert load(environ={"ANGARIUM_NO_UVLOOP": "1", "ANGARIUM_PLAYGROUND": "1", "PATH": "/"}).config == NodeConfig()


def test_open_mode_stays_on_this_machine_unless_told_otherwise() -> None:
    flags = {"open": "true", "listen": ("udp://0.0.0.0:0",)}
    with pytest.raises(ConfigError, match="--open-to-network"):
        load(flags)
    assert load({**flags, "open_to_network": "true"}).config.open
    assert load({"listen": ("udp://0.0.0.0:0",)}).config.listen[0].host == "0.0.0.0"


def test_show_tells_values_and_origins_as_json() -> None:
    result = CliRunner().invoke(angarium, ["config", "show", "--origin", "--json", "--open", "--name", "b"], env={})
    assert result.exit_code == Exit.OK, result.output
    shown = json.loads(result.stdout)
    assert shown["open"] == {"value": True, "origin": "flag --open"}
    assert shown["name"] == {"value": "b", "origin": "flag --name"}
    assert set(shown) == set(FIELDS)


def test_show_prints_a_row_a_setting() -> None:
    result = CliRunner().invoke(angarium, ["config", "show"])
    assert result.exit_code == Exit.OK
    for key in FIELDS:
        assert key in result.stdout


def test_check_has_an_exit_code_for_scripts(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('realm = "example.org"\n')
    good = CliRunner().invoke(angarium, ["config", "check", "--config", str(file)])
    assert (good.exit_code, good.stdout) == (Exit.OK, "")
    file.write_text('relm = "example.org"\n')
    bad = CliRunner().invoke(angarium, ["config", "check", "--config", str(file)])
    assert bad.exit_code == Exit.CONFIG
    assert bad.stderr.count("\n") == 1, "one line"
    assert "did you mean 'realm'" in bad.stderr
