"""`loa report plays` on a real serve: nothing planned, wrong words, a missing serve; each one sentence and no file."""

from pathlib import Path

from tests.cli.loa_office import COMMUNE, Office


def test_a_report_without_a_plan_says_so_and_wrong_words_get_one_sentence(office: Office, tmp_path: Path):
    table = tmp_path / "bang.csv"
    silent = office.loa("report", "plays", "--area", COMMUNE, "--csv", str(table))
    assert (silent.code, "serve is not running" in silent.err, table.exists()) == (1, True, False)
    office.serve()
    empty = office.loa("report", "plays", "--area", COMMUNE)
    assert (empty.code, "chưa có cụm loa nào đứng ở địa bàn này" in empty.out) == (0, True)
    assert office.loa("report", "plays", "--area", COMMUNE, "--json").json()["total"]["expected"] == 0
    for words, sentence in (
        (("--area", "52.99999"), "không có địa bàn 52.99999"),
        (("--area", COMMUNE, "--from", "31/02/2026"), "«31/02/2026» không phải là ngày"),
        (("--area", COMMUNE, "--from", "02/01/2026", "--to", "01/01/2026"), "đứng trước ngày đầu"),
        (("--area", COMMUNE, "--from", "01/01/2024", "--to", "01/01/2026"), "nhiều nhất 366 ngày"),
        (("--area", COMMUNE, "--node", "0000000001"), "không có cụm loa 0000000001"),
        (("--area", COMMUNE, "--from", "01/01/2099"), "chưa tới"),
    ):
        said = office.loa("report", "plays", *words, "--csv", str(table))
        assert (said.code, sentence in said.err, len(said.err.strip().splitlines())) == (1, True, 1), said.err
        assert list(tmp_path.glob("*.csv*")) == []
        assert list(tmp_path.glob(".*part")) == []
