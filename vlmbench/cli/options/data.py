"""Options that choose data and the main metric, each written once."""

from pathlib import Path
from typing import Annotated

from vlmbench.cli.options.common import deciding_metric, option

Split = Annotated[str | None, option("--split", help="Split of the data. (default: test, else the only one)")]
Limit = Annotated[
    int | None,
    option("--limit", min=1, help="Use N randomly sampled images, of each dataset and split (see --seed)."),
]
Holdout = Annotated[
    float | None,
    option(
        "--holdout",
        help="For datasets with a single split: the fraction of each class that linear-probe holds out for testing "
        "(default: 0.25), and that zeroshot scores (default: all images).",
    ),
]
Group = Annotated[
    str | None,
    option(
        "--group",
        metavar="COLUMN",
        help="A column of -d file:LIST.csv, such as the patient: none is in two of training, validation, test.",
    ),
]
ClassMap = Annotated[
    Path | None,
    option(
        "--class-map",
        metavar="FILE",
        help="CSV or JSON, class and the class it becomes, to merge classes of -d; with linear-probe's --test-on or "
        "--load-probe: class of the test set, class of the training set.",
    ),
]
Metric = Annotated[
    str | None,
    option(
        "--metric",
        metavar="METRIC",
        callback=deciding_metric,
        help="The main metric, for tables, tests and linear-probe's choice of the strength: {deciding metrics}. "
        "(default: the dataset's own)",
    ),
]
Corrupt = Annotated[
    str | None,
    option(
        "--corrupt",
        metavar="KINDS:SEVERITIES",
        help="Also test on corrupted images: all:1-5, gaussian_noise,fog:3, blur:1-5 … (noise, blur, weather, digital "
        "are groups; -d NAME?corrupt=fog:3 is one of them).",
    ),
]
