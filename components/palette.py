"""The colours of classes, wherever a mask is to be looked at."""

# Okabe and Ito 2008, told apart whatever eyes one has; black is the background. More classes begin again.
PALETTE = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
)  # fmt: skip


def class_colours(classes: int) -> list[tuple[int, int, int]]:
    """Red, green and blue of each class, 0 to 255; the first is the background."""
    return [PALETTE[0], *(PALETTE[1:][i % (len(PALETTE) - 1)] for i in range(classes - 1))]
