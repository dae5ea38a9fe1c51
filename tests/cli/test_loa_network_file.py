"""The TOML of `loa network publish`: what is read, and in which words a mistake is told."""

from pathlib import Path

import pytest

from controller.cli.network_file import EXAMPLE, body_of
from controller.cli.networks import _stands
from protocol.documents import Apn, Endpoint, NetworkBody, Reach, TimeSource
from protocol.reports import NetworkState
from protocol.shape import check_reach
from provisioning.errors import InputRefused


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "network.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_of_the_help_is_read_as_it_says(tmp_path):
    body = body_of(written(tmp_path, EXAMPLE.partition("\n")[2]))
    assert (body.month_bytes, body.fetch_from_min) == (500_000_000, 1_320)
    assert body.reach == Reach(
        brokers=(Endpoint(host="loa.example.vn"), Endpoint(host="203.0.113.7", port=8883)),
        media_url="https://loa.example.vn:8443",
        enrol_url="https://loa.example.vn:8446",
        apn=Apn(name="v-internet", user="loa"),
        time_sources=(TimeSource(host="time.example.vn", nts=True), TimeSource(host="ntp.example.vn")),
    )
    check_reach(body.reach)


def test_a_file_without_addresses_makes_the_bytes_that_it_made_before(tmp_path):
    assert body_of(written(tmp_path, "")) == NetworkBody()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('brokers = ["loa.vn:mqtt"]', "`brokers`: 'loa.vn:mqtt' is no address"),
        ('brokers = ["loa.vn:70000"]', "a port is 1 to 65535"),
        ('brokers = ["loa vn"]', "`brokers`: write names or IPv4 addresses"),
        ('brokers = ["10.0.0.256"]', "'10.0.0.256' is neither a name nor an IPv4 address"),
        ('brokers = ["a.vn", "a.vn:8883"]', "named twice"),
        ('brokers = ["a.vn", "b.vn", "c.vn", "d.vn"]', "`brokers` names 4: name 3 at the most"),
        ('media_url = "http://loa.vn"', "`media_url`: write https://name:port"),
        ('media_url = "https://loa.vn:0"', "there is no port 0"),
        ('enrol_url = "loa.vn:8446"', "`enrol_url`: write https://name:port"),
        ('apn = "v internet"', "`apn`: write the access point's name"),
        ('apn = "v"\napn_user = "a b"', "`apn_user`: write letters"),
        ('apn_user = "loa"', "`apn_user` belongs to an `apn`"),
        ('apn_password = "x"', "unknown field `apn_password`"),
        ('time_sources = ["pool ntp.vn"]', "`time_sources`: write names"),
        ('time_sources = ["a", "b", "c", "d", "e"]', "`time_sources` names 5"),
    ],
)
def test_what_nobody_could_go_by_is_refused_by_a_sentence_that_names_the_file(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(InputRefused) as refused:
        body_of(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


def test_the_words_of_show_tell_what_the_node_said_of_this_document_and_not_of_another():
    body = NetworkBody(reach=Reach(brokers=(Endpoint(host="a.vn"),)))
    mine, other = "aa" * 32, "bb" * 32
    assert "confirmed" in _stands(NetworkState(digest=mine, state="confirmed"), mine, body)
    assert "returned" in _stands(NetworkState(digest=mine, state="returned"), mine, body)
    assert "has not taken" in _stands(NetworkState(digest=other, state="confirmed"), mine, body)
    assert "said nothing" in _stands(None, mine, body)
    assert "its card" in _stands(None, None, NetworkBody())
