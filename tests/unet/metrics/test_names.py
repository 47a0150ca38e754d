"""Which metrics there are, and which of them a threshold names."""

import pytest

from unet.metrics.names import gate_names, metric_names, split_key


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("iou_a", ("iou_a", "")),
        ("iou_a@size=small", ("iou_a", "size=small")),
        ("iou_a@b", ("iou_a@b", "")),  # a class may have such a name
        ("iou_a@b@size=small", ("iou_a@b", "size=small")),
        ("iou_c", ("", "iou_c")),
    ],
)
def test_keys_of_thresholds(key, expected):
    assert split_key(key, ["iou_a", "iou_a@b"]) == expected


def test_every_class_has_its_metrics():
    assert metric_names(["back", "cell"]) == [
        *(
            "foreground_iou",
            "mean_iou",
            "foreground_dice",
            "mean_dice",
            "pixel_error",
            "iou_back",
            "iou_cell",
        ),
        *("dice_back", "dice_cell", "precision_back", "precision_cell", "recall_back", "recall_cell"),
    ]


@pytest.mark.parametrize(("with_segment_scores", "last"), [(False, []), (True, ["v_rand", "v_info"])])
def test_the_gate_measures_outlines_and_objects_of_all_classes_but_the_background(with_segment_scores, last):
    classes = ["back", "cell", "edge"]
    names = gate_names(classes, with_segment_scores)
    assert names[: len(metric_names(classes))] == metric_names(classes)
    assert names[len(metric_names(classes)) :] == [
        *("foreground_iou_p10", "boundary_f1", "boundary_f1_cell", "boundary_f1_edge"),
        *("object_f1", "object_ap", "panoptic_quality", "object_f1_cell", "object_f1_edge"),
        *("object_ap_cell", "object_ap_edge", "panoptic_quality_cell", "panoptic_quality_edge", "ece"),
        *last,
    ]
