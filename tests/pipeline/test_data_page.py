"""The page about the images of a run."""

import re
from html.parser import HTMLParser

import pandas as pd
import tensorflow_data_validation as tfdv

from pipeline.data_page import write_page


def write_statistics(folder, **splits):
    for split, values in splits.items():
        frame = pd.DataFrame({"mean": values, "fraction_<b>": [0.25] * len(values)})
        path = folder / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(tfdv.generate_statistics_from_dataframe(frame, n_jobs=1).SerializeToString())
    return str(folder)


class Cells(HTMLParser):
    """Collects the text of all cells, and the tags."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags, self._open = [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._open = tag in ("td", "th")

    def handle_data(self, data):
        if self._open:
            self.cells.append(data)


def test_the_page_shows_the_numbers_of_all_sets_and_loads_nothing(tmp_path):
    now = write_statistics(tmp_path / "now", train=[10.0, 20.0, 33.0], test=[15.0])
    before = write_statistics(tmp_path / "before", train=[7.0, 9.0])
    page = tmp_path / "data.html"
    write_page(page, "Images of run <1>", now, before, ["mean drifted: <much>"])
    text = page.read_text()
    parser = Cells()
    parser.feed(text)
    for cell in ("10", "21", "33", "15", "7", "9", "train, last blessed"):
        assert cell in parser.cells
    assert "mean drifted: &lt;much&gt;" in text
    assert "Images: test 1, train 3, train, last blessed 2" in text
    assert "script" not in parser.tags
    assert parser.tags.count("svg") == 6
    assert not re.search("https?:|src=|@import|url[(]", text)


def test_a_page_without_findings_says_so(tmp_path):
    page = tmp_path / "data.html"
    write_page(page, "x", write_statistics(tmp_path / "now", train=[1.0]), "", [])
    assert "Nothing was found" in page.read_text()
